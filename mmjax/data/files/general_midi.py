"""The 128 programs of General MIDI level 1 and their 16 families of eight, in order."""

from __future__ import annotations

FAMILIES: dict[str, tuple[str, ...]] = {
    "piano": (
        *("acoustic grand piano", "bright acoustic piano", "electric grand piano", "honky-tonk piano"),
        *("electric piano 1", "electric piano 2", "harpsichord", "clavinet"),
    ),
    "chromatic percussion": (
        *("celesta", "glockenspiel", "music box", "vibraphone", "marimba", "xylophone", "tubular bells", "dulcimer"),
    ),
    "organ": (
        *("drawbar organ", "percussive organ", "rock organ", "church organ", "reed organ", "accordion", "harmonica"),
        "tango accordion",
    ),
    "guitar": (
        *("nylon guitar", "steel guitar", "jazz guitar", "clean guitar", "muted guitar", "overdriven guitar"),
        *("distortion guitar", "guitar harmonics"),
    ),
    "bass": (
        *("acoustic bass", "fingered bass", "picked bass", "fretless bass", "slap bass 1", "slap bass 2"),
        *("synth bass 1", "synth bass 2"),
    ),
    "strings": (
        *("violin", "viola", "cello", "contrabass", "tremolo strings", "pizzicato strings", "harp", "timpani"),
    ),
    "ensemble": (
        *("string ensemble 1", "string ensemble 2", "synth strings 1", "synth strings 2", "choir aahs", "voice oohs"),
        *("synth voice", "orchestra hit"),
    ),
    "brass": (
        *("trumpet", "trombone", "tuba", "muted trumpet", "french horn", "brass section", "synth brass 1"),
        "synth brass 2",
    ),
    "reed": ("soprano sax", "alto sax", "tenor sax", "baritone sax", "oboe", "english horn", "bassoon", "clarinet"),
    "pipe": ("piccolo", "flute", "recorder", "pan flute", "blown bottle", "shakuhachi", "whistle", "ocarina"),
    "synth lead": (
        *("lead square", "lead sawtooth", "lead calliope", "lead chiff", "lead charang", "lead voice", "lead fifths"),
        "lead bass",
    ),
    "synth pad": (
        *("pad new age", "pad warm", "pad polysynth", "pad choir", "pad bowed", "pad metallic", "pad halo"),
        "pad sweep",
    ),
    "synth effects": (
        *("fx rain", "fx soundtrack", "fx crystal", "fx atmosphere", "fx brightness", "fx goblins", "fx echoes"),
        "fx sci-fi",
    ),
    "ethnic": ("sitar", "banjo", "shamisen", "koto", "kalimba", "bagpipe", "fiddle", "shanai"),
    "percussive": (
        *("tinkle bell", "agogo", "steel drums", "woodblock", "taiko drum", "melodic tom", "synth drum"),
        "reverse cymbal",
    ),
    "sound effects": (
        *("guitar fret noise", "breath noise", "seashore", "bird tweet", "telephone ring", "helicopter", "applause"),
        "gunshot",
    ),
}
PROGRAMS: tuple[str, ...] = tuple(program for programs in FAMILIES.values() for program in programs)
MUSICAL = 120  # programs before the sound effects

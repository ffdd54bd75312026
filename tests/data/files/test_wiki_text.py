"""Wiki dumps: the prose of their articles, by hand; whatever is no dump stays as it is."""

import bz2
import gzip

import pytest

from mmjax.data.files import text_corpus, text_files, wiki_text

ARTICLE = """{{Infobox bell
| name = {{lang|fr|Cloche {{small|x}}}}
}}
'''Bells''' are [[musical instrument|instruments]] of [[bronze]]s.<ref name="a">A book, {{p.|3}}</ref><ref name="b" />
[[File:Bell.jpg|thumb|200px|A [[red]] bell]][[Datei:Glocke.jpg|mini|Bild]]
<!-- a
comment -->
== History ==
{| class="wikitable"
|-
! year ||
{| inner
| 1
|}
| 2
|}
* The ''oldest'' is in [https://example.org/x China &amp; beyond], see https://example.org.
# [[:Category:Bells|all bells]], [[Batman: Year One]], [[s:Poems|poems]] &mdash; E = <math>m c^2</math> mc<sup>2</sup>
__NOTOC__
[[Category:Instruments]]
[[fr:Cloche]]
"""
PROSE = """Bells are instruments of bronzes.
History
The oldest is in China & beyond, see
all bells, Batman: Year One, poems — E = mc 2"""


def escaped(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def page(text, space=0, extra=""):
    head = (
        f"<title>Talk about titles</title>\n    <ns>{space}</ns>{extra}\n    <revision><contributor>Name</contributor>"
    )
    return f'  <page>\n    {head}<text bytes="9" xml:space="preserve">{escaped(text)}</text></revision>\n  </page>\n'


def dump(*pages):
    head = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xml:lang="en">\n  <siteinfo>Name</siteinfo>\n'
    return head + "".join(pages) + "</mediawiki>\n"


def test_wikitext_by_hand():
    assert wiki_text.without_markup(ARTICLE) == PROSE


def test_unbalanced_markup_ends():
    for text in (
        "{{" * 5000,
        "[[" * 5000 + "a" + "]]" * 5000,
        "{|" * 3000,
        "<ref>" * 9999,
        "<!--" * 9999,
        "'" * 9999,
        "<ref>{{" * 9999,
    ):
        wiki_text.without_markup(text)  # no catastrophe of a pattern
    assert wiki_text.without_markup("word [[open\n{{open\nword") == "word [[open\n{{open\nword"


@pytest.mark.parametrize(
    "name",
    [
        "enwiki-20260101-pages-articles.xml.bz2",
        "enwiki-20260101-pages-articles1.xml-p1p41242.bz2",
        "enwiki-latest-pages-articles-multistream.xml.bz2",  # the one that Wikipedia recommends
        "enwiki-20260101-pages-articles-multistream27.xml-p1p9.bz2",
        "simplewiki-20260101-pages-meta-current.xml",
    ],
)
def test_dumps_are_known_by_their_names(name):
    assert text_files.is_text(name)
    assert not text_files.tells_of_others(name)
    assert not text_files.is_text(name.replace("pages", "stub"))


@pytest.mark.parametrize("block", [64, 2**20])
def test_a_dump_is_its_articles(tmp_path, block):
    talk, moved = page("User talk", 3), page("old", extra='<redirect title="x" />')
    text = dump(page(ARTICLE), talk, moved, page("#REDIRECT [[Bells]]"), page("A [[second]] one."))
    path = tmp_path / "simplewiki-20260101-pages-articles1.xml-p1p9.bz2"
    path.write_bytes(bz2.compress(text.encode()))
    (tmp_path / "simplewiki-20260101-pages-articles-multistream-index1.txt-p1p9.bz2").write_bytes(
        bz2.compress(b"1:2:A")
    )
    (tmp_path / "other.xml").write_text("<a>no text</a>")
    found = text_files.find(str(tmp_path))
    assert found.files == (path,)
    assert "".join(text_corpus.read(found.files, block)) == f"{PROSE}\nA second one.\n"
    assert "".join(text_corpus.read(found.files, block, markup="words")) == f"{text}\n"
    cut = text[: text.index("second") + 3]  # as enwik8 and enwik9 are
    path = tmp_path / "enwik"
    path.write_bytes(gzip.compress(cut.encode()))
    assert "".join(text_corpus.read([path], block)) == f"{PROSE}\nA [[sec\n"


@pytest.mark.parametrize("block", [16, 2**20])
def test_a_dump_that_is_not_closed_is_told(tmp_path, capsys, block):
    """As enwik9 is; and so ends a multistream dump whose last streams are missing, which bzip2 takes for whole."""
    path, page = tmp_path / "dump.xml", "<mediawiki><page><ns>0</ns><text>A bell</text></page>"
    for text, told in ((f"{page}</mediawiki>\n", 0), (page, 1), (page[:-7], 1), (page[:-14], 1)):
        path.write_text(text)
        assert "".join(text_corpus.read([path], block)).split() == ["A", "bell"]
        assert capsys.readouterr().err.count("dump.xml: the dump is not closed by </mediawiki>") == told


@pytest.mark.parametrize("block", [16, 2**20])
def test_what_wikiextractor_makes(tmp_path, block):
    lines = ['<doc id="1" url="https://w.org/?curid=1" title="A bell">', "A bell", "", "It rings < often.", "</doc>"]
    (tmp_path / "wiki_00").write_text("\n".join(lines + lines) + "\n")
    words = "".join(text_corpus.read([tmp_path / "wiki_00"], block)).split()
    assert words == ["A", "bell", "It", "rings", "<", "often."] * 2


@pytest.mark.parametrize("text", ["", "a < b\n", "see <mediawiki> and <doc id=1>\n", "{{not}} [[a]] ''dump''\n"])
def test_other_text_is_left_as_it_is(tmp_path, text):
    (tmp_path / "t.txt").write_text(text)
    assert "".join(text_corpus.read([tmp_path / "t.txt"])) == f"{text}\n"

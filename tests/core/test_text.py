import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.core.stem import stem
from agent.core.text import MAX_QUERY_TOKENS, MAX_TEXT_CHARS, MAX_TOKEN_CHARS, query_tokens, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The customer’s refunds don't work!", ["the", "custom", "refund", "dont", "work"]),
        ("get_user_name(GPT-4o, v1.2)", ["get", "user", "name", "gpt", "4o", "v1", "2"]),
        ("ｆｕｌｌ ＷＩＤＴＨ ﬁle", ["full", "width", "file"]),
        ("café Straße ΟΔΟΣ Юрий", ["café", "strass", "οδοσ", "юрий"]),
        ("怎么退款", ["怎么", "么退", "退款"]),
        ("用GPT4写代码", ["用", "gpt4", "写代", "代码"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("ﾀﾜｰ", ["タワ", "ワー"]),
        ("한국어 처리", ["한국", "국어", "처리"]),
        ("한국어", ["한국", "국어"]),
        ("ภาษาไทย", ["ภา", "าษ", "ษา", "าไ", "ไท", "ทย"]),
        ("हिन्दी भाषा। ठीक", ["हिन्दी", "भाषा", "ठीक"]),
        ("猫 和 狗", ["猫", "和", "狗"]),
        ("'s '' 'tis x'", ["s", "ti", "x"]),
        ("👍 -- ?! \x00 \ud800", []),
        ("", []),
    ],
)
def test_text_becomes_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Please, how do I refund the refunds of a customer?", ["refund", "custom"]),
        ("请问怎么退款？", ["退款"]),
        ("请帮我看一下这个 订单 的 状态", ["请帮", "帮我", "我看", "订单", "状态"]),
        ("この注文はキャンセルできますか", ["この", "の注", "注文", "文は", "はキ", "キャ", "ャン", "ンセ", "セル", "ルで", "でき"]),
        ("who are you?", ["who", "ar", "you"]),
        ("什么", ["什么"]),
        ("", []),
    ],
)
def test_a_query_leaves_out_what_tells_nothing_unless_there_is_nothing_else(text: str, expected: list[str]) -> None:
    assert query_tokens(text) == expected


def test_what_is_read_of_a_text_is_bounded() -> None:
    long = [*(f"w{n}" for n in range(MAX_TEXT_CHARS)), "end"]

    assert "end" not in tokens(" ".join(long))
    assert tokens("aaa bbb", max_chars=5) == ["aaa", "b"]
    assert tokens("x1" * 1000) == [("x1" * 1000)[:MAX_TOKEN_CHARS]]
    assert tokens("ﷺ", max_chars=7) == tokens("صلى الل")
    assert len(query_tokens(" ".join(long))) == MAX_QUERY_TOKENS
    assert query_tokens("red red blue green", max_tokens=2) == ["red", "blue"]


@given(st.text())
@example("a\u0301'\u0301s")
@example("ᄒ" * 50)
@example("ﷺ" * 50)
@example("İİıſ")
def test_any_text_gives_tokens_and_the_same_in_its_normal_form(text: str) -> None:
    found = tokens(text)

    assert all(0 < len(token) <= MAX_TOKEN_CHARS and not any(sign.isspace() for sign in token) for token in found)
    assert tokens(unicodedata.normalize("NFKC", text)) == found
    assert set(query_tokens(text)) <= {*found, *query_tokens(text)}
    assert bool(query_tokens(text)) == bool(found)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", max_size=40))
def test_any_word_has_a_stem_no_longer_than_itself(word: str) -> None:
    found = stem(word)

    assert len(found) <= max(len(word), 1)
    assert bool(found) == bool(word)


# From the paper, step by step, and from the list of words that goes with it.
PAPER = """
caresses caress   ponies poni   ties ti   caress caress   cats cat   feed feed   agreed agre   plastered plaster   bled bled   motoring motor   sing sing
conflated conflat   troubled troubl   sized size   hopping hop   tanned tan   falling fall   hissing hiss   fizzed fizz   failing fail   filing file
happy happi   sky sky   relational relat   conditional condit   rational ration   valenci valenc   hesitanci hesit   digitizer digit   conformabli conform
radicalli radic   differentli differ   vileli vile   analogousli analog   vietnamization vietnam   predication predic   operator oper   feudalism feudal
decisiveness decis   hopefulness hope   callousness callous   formaliti formal   sensitiviti sensit   sensibiliti sensibl   triplicate triplic
formative form   formalize formal   electriciti electr   electrical electr   hopeful hope   goodness good   revival reviv   allowance allow   inference infer
airliner airlin   gyroscopic gyroscop   adjustable adjust   defensible defens   irritant irrit   replacement replac   adjustment adjust   dependent depend
adoption adopt   homologou homolog   communism commun   activate activ   angulariti angular   homologous homolog   effective effect   bowdlerize bowdler
probate probat   rate rate   cease ceas   controll control   roll roll   yes ye   yelling yell   syzygy syzygi   technology technolog   possibly possibl
generalizations gener   oscillators oscil   as as   is is   by by   toy toi   say sai   enjoyed enjoi   dying dy
"""
STEMS = PAPER.split()


@pytest.mark.parametrize(("word", "expected"), [*zip(STEMS[::2], STEMS[1::2], strict=True)])
def test_a_word_has_porters_stem(word: str, expected: str) -> None:
    assert stem(word) == expected

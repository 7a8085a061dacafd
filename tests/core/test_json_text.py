import pytest

from lacunar.core.errors import BadInput
from lacunar.core.files import read_json
from lacunar.core.json_text import parsed


def test_values():
    assert parsed('{"a": [1, 2.5, null, {"a": "b"}]}') == {"a": [1, 2.5, None, {"a": "b"}]}


BAD = {
    '{"a": 1, "b": {"c": 1, "c": 2}}': "the key 'c' stands twice in one object",
    "[NaN]": "NaN is no JSON number",
    "-Infinity": "-Infinity is no JSON number",
    "[" * 200_000: "nested too deeply",
    '{"a":' * 200_000: "nested too deeply",
    "1" * 5000: "4300 digits",
    "{": "Expecting property name",
}


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_what_is_no_json(tmp_path, text):
    with pytest.raises(ValueError, match=BAD[text]):
        parsed(text)
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(BadInput, match="is not a JSON file .*" + BAD[text]):
        read_json(tmp_path / "x.json")

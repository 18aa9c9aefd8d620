"""A run folder stays who it is: damage to its id would send a whole study again."""

from sweeper.tracking.identity import ID_FILE, identity, known_identity


def test_an_id_is_drawn_once_and_moves_with_the_folder(tmp_path):
    assert known_identity(tmp_path / "a") is None
    drawn = identity(tmp_path / "a")
    assert identity(tmp_path / "a") == known_identity(tmp_path / "a") == drawn
    assert identity(tmp_path / "b") != drawn
    (tmp_path / "a").rename(tmp_path / "c")
    assert identity(tmp_path / "c") == drawn


def test_one_bad_byte_or_a_cut_leaves_it_and_is_mended(tmp_path):
    drawn, file = identity(tmp_path), tmp_path / ID_FILE
    whole = file.read_bytes()
    length = len(whole) // 3
    damaged = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(len(whole))]
    damaged += [whole[:cut] for cut in range(length - 1, len(whole))] + [whole[cut:] for cut in range(2 * length)]
    for content in damaged:
        file.write_bytes(content)
        assert known_identity(tmp_path) == drawn
        assert identity(tmp_path) == drawn
        assert file.read_bytes() == whole


def test_what_is_no_id_is_none(tmp_path):
    (tmp_path / "outbox").mkdir()
    for content in (b"", b"\xff\xfe", b"0" * 32, b"\n" * 50):
        (tmp_path / ID_FILE).write_bytes(content)
        assert known_identity(tmp_path) is None
    (tmp_path / ID_FILE).unlink()
    (tmp_path / ID_FILE).mkdir()
    assert known_identity(tmp_path) is None

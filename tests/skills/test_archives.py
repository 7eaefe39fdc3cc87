"""Skills in archives: nothing is unpacked, nothing leads outside, and a bomb stays small."""

import io
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from agent.errors import BadInput
from agent.models.memory import SkillFolder
from agent.skills.loading import Skills, load_skills
from agent.skills.rules import SkillLimits

TEXT = b"---\nname: packed\ndescription: d\n---\nbody"


def zipped(path: Path, entries: dict[str, bytes], *, links: tuple[str, ...] = ()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            if name in links:
                info.external_attr = 0o120777 << 16
            archive.writestr(info, data)
    return path


def tarred(path: Path, entries: dict[str, bytes], mode: str = "w:gz", *, links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]  # any of its modes
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return path


def load(path: Path, limits: SkillLimits | None = None) -> Skills:
    return load_skills(path, scope="user", limits=limits or SkillLimits())


ENTRIES = {"packed/SKILL.md": TEXT, "packed/references/a.md": b"A", "__MACOSX/packed/SKILL.md": b"x", "README.md": b"not of the skill"}


@pytest.mark.parametrize("make", [zipped, tarred, lambda p, e: tarred(p, e, "w"), lambda p, e: tarred(p, e, "w:bz2"), lambda p, e: tarred(p, e, "w:xz")])
def test_a_skill_is_read_from_an_archive_of_any_name(tmp_path: Path, make: object) -> None:
    assert callable(make)
    (one,), unusable = load(make(tmp_path / "download.bin", ENTRIES))

    assert unusable == ()
    assert isinstance(one.skill.folder, SkillFolder)
    assert (one.skill.name, one.skill.content, one.warnings) == ("packed", "body", ())
    assert [(file.path, file.data) for file in one.skill.folder.files] == [("references/a.md", b"A")]


def test_a_skill_at_the_root_is_named_after_the_archive(tmp_path: Path) -> None:
    (one,), _ = load(zipped(tmp_path / "notes.skill", {"SKILL.md": b"Only words.", "a/b.txt": b"b"}))

    assert one.skill.name == "notes"


def test_several_skills_are_read_and_one_inside_another_is_its_part(tmp_path: Path) -> None:
    entries = {"all/one/SKILL.md": TEXT.replace(b"packed", b"one"), "all/two/SKILL.md": TEXT.replace(b"packed", b"two"), "all/one/in/SKILL.md": b"x"}

    loaded, _ = load(tarred(tmp_path / "all.tgz", entries))

    assert [one.skill.name for one in loaded] == ["one", "two"]


@pytest.mark.parametrize("name", ["../out/SKILL.md", "/etc/SKILL.md", "packed/../../x", "packed\\..\\x", "packed/a\x01b"])
def test_an_archive_that_leads_outside_is_refused_whole(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="leads outside"):
        load(zipped(tmp_path / "evil.zip", {**ENTRIES, name: b"x"}))
    with pytest.raises(BadInput, match="leads outside"):
        load(tarred(tmp_path / "evil.tar", {**ENTRIES, name: b"x"}))

    assert sorted(path.name for path in tmp_path.parent.glob("**/*") if path.is_file() and path.parent == tmp_path) == ["evil.tar", "evil.zip"]


def test_links_in_archives_are_left_out_by_name(tmp_path: Path) -> None:
    for path in (
        zipped(tmp_path / "l.zip", {**ENTRIES, "packed/link": b"/etc/passwd"}, links=("packed/link",)),
        tarred(tmp_path / "l.tar", ENTRIES, links={"packed/link": "/etc/passwd"}),
    ):
        (one,), _ = load(path)

        assert isinstance(one.skill.folder, SkillFolder)
        assert [file.path for file in one.skill.folder.files] == ["references/a.md"]
        assert one.warnings == ("link was left out: a link" + ("" if path.suffix == ".zip" else ", or no regular file"),)


def test_bombs_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    zeros = bytes(60_000_000)
    bombs = [tarred(tmp_path / "a.tgz", {"packed/SKILL.md": TEXT, "packed/big": zeros}), tarred(tmp_path / "b.txz", {"packed/SKILL.md": zeros}, "w:xz")]
    bomb = zipped(tmp_path / "c.zip", {"packed/SKILL.md": TEXT, **{f"packed/{number}": zeros for number in range(3)}})
    del zeros
    tracemalloc.start()
    try:
        for path in bombs:
            with pytest.raises(BadInput, match="unpacks to more than 5000000 bytes"):
                load(path, SkillLimits(max_unpacked_bytes=5_000_000))
        (one,), _ = load(bomb)

        assert tracemalloc.get_traced_memory()[1] < 25_000_000
    finally:
        tracemalloc.stop()
    assert one.warnings == tuple(f"{number} was left out: it has more than 524288 bytes" for number in range(3))


def test_a_zip_that_lies_about_its_sizes_is_not_believed(tmp_path: Path) -> None:
    path = zipped(tmp_path / "lie.zip", {"packed/SKILL.md": TEXT, "packed/big": bytes(1_000_000)})
    data = path.read_bytes()
    path.write_bytes(data.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little")))

    with pytest.raises(BadInput, match="cannot be read as an archive"):
        load(path)


@pytest.mark.parametrize("data", [b"PK\x03\x04 and no more", b"\x1f\x8b\x08\x00rest", b"BZh9rest", b"\xfd7zXZ\x00rest", b"x" * 257 + b"ustar" + b"x" * 600])
def test_broken_archives_are_refused_in_words(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "broken.zip").write_bytes(data)

    with pytest.raises(BadInput, match=r"cannot be read as an archive|no skill in it"):
        load(tmp_path / "broken.zip")


def test_encrypted_entries_are_left_out_and_too_many_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "locked.zip", ENTRIES)
    data = bytearray(path.read_bytes())
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags of the entry references/a.md
        at = data.index(magic, data.index(magic) + 4)
        data[at + place] |= 1
    path.write_bytes(bytes(data))

    (one,), _ = load(path)

    assert one.warnings == ("references/a.md was left out: it is encrypted",)
    with pytest.raises(BadInput, match="more than 3 entries"):
        load(zipped(tmp_path / "many.zip", ENTRIES), SkillLimits(max_entries=3))
    with pytest.raises(BadInput, match="at most 10 are read"):
        load(path, SkillLimits(max_archive_bytes=10))

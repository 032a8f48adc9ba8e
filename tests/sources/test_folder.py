"""Walking folders, expanding arguments, and sorting people."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from vultus.errors import EmptyGalleryError, ImageNotFoundError
from vultus.sources import IMAGE_SUFFIXES, expand, load_image, people_tree, walk_images


@pytest.fixture
def tree(tmp_path):
    """`tree("a/1.jpg", "b/")` makes files and folders and returns their root."""
    root = tmp_path / "root"
    root.mkdir()

    def _tree(*names: str) -> Path:
        for name in names:
            path = root / name
            if name.endswith("/"):
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
        return root

    return _tree


def names(paths, root):
    return [path.relative_to(root).as_posix() for path in paths]


def test_suffixes():
    assert {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif"} <= IMAGE_SUFFIXES
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in IMAGE_SUFFIXES)


class TestWalk:
    def test_order_pictures_before_folders_and_numbers_by_value(self, tree):
        root = tree(
            "img10.jpg",
            "img2.jpg",
            "Img1.JPG",
            "b/1.png",
            "a/x/1.png",
            "a/2.png",
            "10/z.png",
            "9/z.png",
        )
        assert names(walk_images(root), root) == [
            "Img1.JPG", "img2.jpg", "img10.jpg",
            "9/z.png", "10/z.png", "a/2.png", "a/x/1.png", "b/1.png",
        ]  # fmt: skip

    def test_names_that_only_differ_in_case_or_zeros_have_one_order(self, tree):
        root = tree("a.jpg", "A.jpg", "1.jpg", "01.jpg", "٣.jpg", "²x.jpg", "9" * 200 + ".jpg")
        first = names(walk_images(root), root)
        assert len(first) == 7
        assert first == names(walk_images(root), root)
        assert first.index("A.jpg") < first.index("a.jpg")
        assert first.index("01.jpg") < first.index("1.jpg")

    def test_only_pictures(self, tree):
        root = tree("a.jpg", "a.txt", "jpg", "a.jpg.part", "b.HEIC", "noext", "c.tar.png")
        assert names(walk_images(root), root) == ["a.jpg", "b.HEIC", "c.tar.png"]

    def test_hidden_entries_are_skipped(self, tree):
        root = tree(".a.jpg", "._b.jpg", ".cache/c.jpg", "d.jpg")
        assert names(walk_images(root), root) == ["d.jpg"]
        assert names(walk_images(root / ".cache"), root) == [".cache/c.jpg"]

    def test_one_level(self, tree):
        root = tree("a.jpg", "sub/b.jpg")
        assert names(walk_images(root, recursive=False), root) == ["a.jpg"]

    def test_empty(self, tree):
        assert list(walk_images(tree("sub/"))) == []

    def test_a_file_is_itself_whatever_its_name(self, tree):
        root = tree("notes.txt")
        assert list(walk_images(root / "notes.txt")) == [root / "notes.txt"]
        assert list(walk_images(str(root / "notes.txt"))) == [root / "notes.txt"]

    @pytest.mark.parametrize("name", ["missing", "", "a\x00b"])
    def test_missing_root_at_the_call(self, name):
        with pytest.raises(ImageNotFoundError, match="cannot be read") as caught:
            walk_images(name)
        assert caught.value.fields["path"] == name

    def test_broken_root(self, tree):
        root = tree()
        (root / "broken").symlink_to(root / "nothing")
        with pytest.raises(ImageNotFoundError):
            walk_images(root / "broken")

    def test_loops_end(self, tree):
        root = tree("a.jpg", "sub/b.jpg")
        (root / "sub" / "up").symlink_to(root, target_is_directory=True)
        (root / "sub" / "self").symlink_to(root / "sub", target_is_directory=True)
        (root / "me").symlink_to(root / "me")
        assert names(walk_images(root), root) == ["a.jpg", "sub/b.jpg"]

    def test_links_are_followed_each_folder_once(self, tree, tmp_path):
        root = tree("a.jpg")
        other = tmp_path / "other"
        other.mkdir()
        (other / "o.jpg").touch()
        for name in ("link1", "link2"):
            (root / name).symlink_to(other, target_is_directory=True)
        (root / "z.jpg").symlink_to(other / "o.jpg")
        assert names(walk_images(root), root) == ["a.jpg", "z.jpg", "link1/o.jpg"]

    def test_broken_picture_links_are_listed_pipes_are_not(self, tree):
        root = tree("a.jpg", "folder.jpg/")
        (root / "broken.jpg").symlink_to(root / "nothing")
        (root / "loop.jpg").symlink_to(root / "loop.jpg")
        os.mkfifo(root / "pipe.jpg")
        assert names(walk_images(root), root) == ["a.jpg", "broken.jpg", "loop.jpg"]

    def test_is_lazy(self, tree, monkeypatch):
        root = tree("a/1.jpg", "b/2.jpg", "c/3.jpg")
        seen = []
        scandir = os.scandir
        monkeypatch.setattr(
            os, "scandir", lambda path: seen.append(Path(path).name) or scandir(path)
        )
        walk = walk_images(root)
        assert seen == []
        assert next(walk).name == "1.jpg"
        assert seen == ["root", "a"]
        (root / "b" / "2.jpg").unlink()  # not looked at yet
        assert names(walk, root) == ["c/3.jpg"]

    def test_a_folder_that_vanishes_on_the_way(self, tree):
        root = tree("a/1.jpg", "b/2.jpg")
        walk = walk_images(root)
        next(walk)
        (root / "b" / "2.jpg").unlink()
        (root / "b").rmdir()
        assert list(walk) == [root / "b"]  # handed on: whoever loads it hears of it
        with pytest.raises(ImageNotFoundError, match="b cannot be opened"):
            load_image(root / "b")

    def test_a_folder_that_cannot_be_read_does_not_end_the_walk(self, tree, monkeypatch):
        root = tree("a/1.jpg", "b/2.jpg", "c/3.jpg")
        scandir = os.scandir

        def refuse(path):
            if Path(path).name == "b":
                raise PermissionError(13, "Permission denied", str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refuse)
        assert list(walk_images(root)) == [root / "a/1.jpg", root / "b", root / "c/3.jpg"]

    @pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may read everything")
    def test_an_unreadable_folder_within(self, tree):
        root = tree("a.jpg", "locked/1.jpg")
        (root / "locked").chmod(0)
        walk = walk_images(root)
        assert next(walk).name == "a.jpg"
        assert list(walk) == [root / "locked"]
        (root / "locked").chmod(0o700)

    def test_deep_trees_do_not_exhaust_the_stack(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for _ in range(1200):
            Path("d").mkdir()
            os.chdir("d")
        Path("deep.jpg").touch()
        monkeypatch.chdir(tmp_path)
        try:
            assert [path.name for path in walk_images("d")] == ["deep.jpg"]
        finally:  # deeper than shutil.rmtree, and with it pytest, can clean up
            folder = Path("d", *["d"] * 1199)
            (folder / "deep.jpg").unlink()
            for path in (folder, *folder.parents[:-1]):
                path.rmdir()


class TestExpand:
    def test_files_folders_and_patterns_in_the_order_given(self, tree):
        root = tree("b/2.jpg", "b/1.jpg", "a/10.png", "a/9.png", "a/notes.txt", "x.txt")
        found = expand([root / "x.txt", str(root / "b"), f"{root}/a/*"])
        assert names(found, root) == ["x.txt", "b/1.jpg", "b/2.jpg", "a/9.png", "a/10.png"]

    def test_one_argument_needs_no_list(self, tree):
        root = tree("a.jpg")
        assert list(expand(root)) == list(expand(str(root / "*.jpg"))) == [root / "a.jpg"]

    def test_a_name_with_brackets_that_exists_is_a_name(self, tree):
        root = tree("holiday [2020]/a.jpg", "what?.jpg", "whatX.jpg")
        assert names(expand([root / "holiday [2020]"]), root) == ["holiday [2020]/a.jpg"]
        assert names(expand([root / "what?.jpg"]), root) == ["what?.jpg"]
        assert names(expand([root / "wha?X.jpg"]), root) == ["whatX.jpg"]

    def test_matching_folders_are_walked(self, tree):
        root = tree("p1/a.jpg", "p1/deep/b.jpg", "p2/c.jpg", "q/d.jpg", ".p3/e.jpg")
        assert names(expand([root / "p*"]), root) == ["p1/a.jpg", "p1/deep/b.jpg", "p2/c.jpg"]

    def test_two_stars_list_each_file_once(self, tree):
        root = tree("a.jpg", "s/b.jpg", "s/t/c.png", "s/n.txt")
        (root / "s" / "up").symlink_to(root, target_is_directory=True)
        assert names(expand([root / "**"]), root) == ["a.jpg", "s/b.jpg", "s/t/c.png"]
        assert names(expand([root / "**" / "*.jpg"]), root) == ["a.jpg", "s/b.jpg"]

    def test_nothing_found(self, tree):
        root = tree("a.txt")
        for pattern in ("*.jpg", "*"):
            with pytest.raises(ImageNotFoundError, match="no picture matches") as caught:
                list(expand([root / pattern]))
            assert caught.value.fields["path"] == str(root / pattern)
        with pytest.raises(ImageNotFoundError, match=r"missing.jpg cannot be read"):
            list(expand([root / "missing.jpg"]))

    def test_is_lazy(self, tree):
        root = tree("a.jpg")
        found = expand([root / "a.jpg", root / "missing"])
        assert next(found) == root / "a.jpg"
        with pytest.raises(ImageNotFoundError):
            next(found)

    def test_no_arguments(self):
        assert list(expand([])) == []


class TestPeople:
    def people(self, root):
        return [(name, names(found, root)) for name, found in people_tree(root)]

    def test_a_folder_per_person(self, tree):
        root = tree("Bob/2.jpg", "Bob/1.jpg", "alice/old/3.jpg", "alice/1.jpg", "empty/", "c/n.txt")
        assert self.people(root) == [
            ("alice", ["alice/1.jpg", "alice/old/3.jpg"]),
            ("Bob", ["Bob/1.jpg", "Bob/2.jpg"]),
        ]

    def test_a_file_per_person(self, tree):
        root = tree("Bob.jpg", "Ann Lee.PNG", "j.r.webp", "notes.txt", ".hidden.jpg")
        assert self.people(root) == [
            ("Ann Lee", ["Ann Lee.PNG"]), ("Bob", ["Bob.jpg"]), ("j.r", ["j.r.webp"]),
        ]  # fmt: skip

    def test_both_merge_by_name(self, tree):
        root = tree("bob.jpg", "bob.png", "bob/1.jpg", "Bob/2.jpg", "amy.jpg")
        assert self.people(root) == [
            ("amy", ["amy.jpg"]),
            ("Bob", ["Bob/2.jpg"]),  # another spelling is another name
            ("bob", ["bob.jpg", "bob.png", "bob/1.jpg"]),
        ]

    def test_names_are_nfc(self, tree):
        composed, split = "José", unicodedata.normalize("NFD", "José")
        assert composed != split
        root = tree(f"{split}/1.jpg", f"{composed}.jpg")
        ((name, found),) = people_tree(root)
        assert name == composed
        assert [path.name for path in found] == [f"{composed}.jpg", "1.jpg"]
        assert found[1].parent.name == split  # paths stay as they are on disk

    def test_names_that_are_no_utf_8_stay_apart(self, tree):
        root = tree()
        for raw in (b"Jos\xe9.jpg", b"Jos\xe8.jpg"):
            Path(os.fsdecode(os.fsencode(root) + b"/" + raw)).touch()
        assert [name for name, _ in people_tree(root)] == ["Jos\\xe8", "Jos\\xe9"]

    def test_is_lazy(self, tree):
        root = tree("a/1.jpg", "b/2.jpg")
        people = people_tree(root)
        assert next(people)[0] == "a"
        (root / "b" / "3.jpg").touch()
        assert [path.name for path in next(people)[1]] == ["2.jpg", "3.jpg"]

    def test_links_to_the_same_folder_are_two_people(self, tree):
        root = tree("a/1.jpg")
        (root / "b").symlink_to(root / "a", target_is_directory=True)
        assert self.people(root) == [("a", ["a/1.jpg"]), ("b", ["b/1.jpg"])]

    @pytest.mark.parametrize("content", [(), ("empty/",), ("a.txt", "b/c.txt")])
    def test_nobody(self, tree, content):
        root = tree(*content)
        with pytest.raises(EmptyGalleryError, match="holds no pictures of people") as caught:
            list(people_tree(root))
        assert caught.value.code == "gallery-empty"
        assert caught.value.fields == {"path": str(root)}
        assert "per person" in caught.value.remedy

    def test_root_must_be_a_folder(self, tree):
        root = tree("a.jpg")
        with pytest.raises(ImageNotFoundError, match="is a file, and a folder of people"):
            list(people_tree(root / "a.jpg"))
        with pytest.raises(ImageNotFoundError, match="cannot be read"):
            list(people_tree(root / "missing"))

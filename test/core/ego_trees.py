"""Small folders in the layouts of FPHA and H2O: flat pictures, their colour tells the frame.

Sequences and lengths are those for which the answers of the published loaders are known
(test/data/ego_loaders.npz); so are the hands of a few of them, the others move on a circle.
"""

import os
import pickle
from pathlib import Path

import cv2
import numpy as np

from hand_perception.labels import load_label_map

REFERENCE = Path(__file__).resolve().parents[1] / 'data' / 'ego_loaders.npz'
SIZE = (480, 270)

#: Sequence of FPHA: split, class of its action, frames.
FPHA = {
    'Subject_1/open_juice_bottle/1': ('train', 0, 24),
    'Subject_1/pour_milk/2': ('train', 12, 17),
    'Subject_3/handshake/1': ('train', 43, 9),
    'Subject_2/read_letter/3': ('train', 30, 40),
    'Subject_1/open_juice_bottle/2': ('test', 0, 21),
    'Subject_2/pour_milk/1': ('test', 12, 70),
    'Subject_4/read_letter/1': ('test', 30, 2),
    'Subject_6/handshake/4': ('test', 43, 34),
}
#: Recording of H2O: split, frames, segments (label from 1, first, last frame).
H2O = {
    'subject1/h1/0': ('train', 60, [(16, 0, 25), (8, 28, 44), (27, 45, 55)]),
    'subject2/k1/3': ('train', 30, [(33, 2, 20)]),
    'subject3/o1/1': ('val', 95, [(5, 1, 30), (13, 34, 34), (23, 40, 88)]),
    'subject3/k2/0': ('val', 40, [(36, 0, 39)]),
    'subject4/h2/2': ('test', 50, [(1, 3, 19), (33, 22, 47)]),
}
#: Object of each action of FPHA, as numbers of its objects.
_FPHA_OBJECTS = (
    0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 4, 4, 4, 5, 6, 7, 8, 8, 8, 9, 9, 9, 9, 10, 11, 12, 13, 13, 14,
    14, 13, 15, 16, 17, 18, 19, 19, 20, 21, 21, 22, 23, 24, 25, 25,
)  # fmt: skip


def reference():
    """The answers of the published loaders."""
    with np.load(REFERENCE) as stored:
        return {name: stored[name] for name in stored.files}


def colour(number, frame):
    """RGB of a picture: the number of the sequence or recording, and the frame in it."""
    return (20 + 20 * number, frame, 255 - 2 * frame)


def picture(number, frame, size=SIZE):
    """A flat picture, RGB."""
    return np.full((size[1], size[0], 3), colour(number, frame), np.uint8)


def write(path, text):
    """Write a text and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding='utf-8')
    return path


def write_picture(path, number, frame, size=SIZE):
    """Write a flat picture as JPEG or PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture(number, frame, size)[..., ::-1])


def circling(frames, joints):
    """(F, joints * 3) numbers of points on a circle half a unit away, no two the same."""
    angle = np.arange(frames)[:, None] / 20 + np.arange(joints)
    points = np.stack((0.1 * np.cos(angle), 0.1 * np.sin(angle), 0.5 + 0.01 * angle), -1)
    return points.reshape(frames, -1)


def fpha(root, *, with_images=True):
    """Write a folder of FPHA and return it."""
    known = reference()
    labels = load_label_map('fpha')
    rows = ['Action_idx Action_name Object_name Object_pose Scenario']
    for index, action in enumerate(labels.actions):
        rows.append(f'{index + 1} {action} {labels.objects[_FPHA_OBJECTS[index]]} no kitchen')
    write(root / 'action_object_info.txt', '\n'.join(rows) + '\n')
    lines, subjects = [], {}
    for split, head in (('train', 'Training'), ('test', 'Test')):
        names = [name for name, (where, _, _) in FPHA.items() if where == split]
        lines += [f'{head} {len(names)}', *(f'{name} {FPHA[name][1]}' for name in names)]
    write(root / 'data_split_action_recognition.txt', '\n'.join(lines) + '\n')
    for number, (name, (split, _, frames)) in enumerate(FPHA.items()):
        subject, action, sequence = name.split('/')
        subjects.setdefault(subject, []).append(f'{action} {sequence} {frames}\n')
        values = 1000 * circling(frames, 21)
        if name in ('Subject_1/open_juice_bottle/1', 'Subject_4/read_letter/1'):
            values = known[f'fpha/{split}/numbers']
        skeleton = '\n'.join(
            ' '.join([str(frame), *(f'{value:.4f}' for value in row)])
            for frame, row in enumerate(values)
        )
        write(root / 'Hand_pose_annotation_v1' / name / 'skeleton.txt', skeleton + '\n')
        for frame in range(frames) if with_images else ():
            path = root / 'Video_files_480' / name / 'color' / f'color_{frame:04d}.jpeg'
            write_picture(path, number, frame)
    for subject, texts in subjects.items():
        head = f'{subject}\nAction Sequence Frames\n\n'
        write(root / 'Subjects_info' / f'{subject}_info.txt', head + ''.join(texts))
    return root


def h2o(root, *, with_images=True, test_labels='public'):
    """Write a folder of H2O and return it.

    Args:
        root: the folder.
        with_images: False writes tables and hands only.
        test_labels: ``public`` has none, ``appended`` behind the last column under the public
            head, ``named`` the same with the column in the head.
    """
    known = reference()
    tables = {'train': [], 'val': [], 'test': []}
    for number, (recording, (split, frames, segments)) in enumerate(H2O.items()):
        folder = root / recording / 'cam4'
        values = circling(frames, 42)
        hands = np.insert(np.insert(values, 63, 1.0, axis=1), 0, 1.0, axis=1)
        first = {'subject3/o1/1': 34, 'subject4/h2/2': 3}.get(recording)
        if first is not None:
            numbers = known[f'h2o/{split}/numbers']
            hands[first : first + len(numbers)] = numbers
        for frame, row in enumerate(hands):
            text = ' '.join(
                f'{value:.8f}' if value not in (0, 1) else f'{value:g}' for value in row
            )
            write(folder / 'hand_pose' / f'{frame:06d}.txt', text + ' ')
            if with_images:
                write_picture(folder / 'rgb480_270' / f'{frame:06d}.png', number, frame)
        for label, start, end in segments:
            words = [str(len(tables[split]) + 1), recording, str(label), str(start), str(end)]
            words += ['0', str(frames - 1)]
            if split == 'test':
                words = [*words[:2], *words[3:], *([words[2]] if test_labels != 'public' else [])]
            tables[split].append(' '.join(words))
    for split, rows in tables.items():
        head = 'id path action_label start_act end_act start_frame end_frame'
        if split == 'test':
            head = 'id path start_act end_act start_frame end_frame'
            head += ' action_label' if test_labels == 'named' else ''
        write(root / 'action_labels' / f'action_{split}.txt', '\n'.join([head, *rows]) + '\n')
    return root


def replace(path, old, new):
    """Replace a text that occurs in a file once."""
    text = path.read_text(encoding='utf-8')
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding='utf-8')


class FakeLmdb:
    """What is used of the package lmdb, on a pickled dictionary; it opens a folder once, too."""

    class Error(Exception):
        """Base of its errors."""

    class NotFoundError(Error):
        """No such sub-database."""

    def __init__(self):
        self.opened = set()

    def open(self, path, *, readonly, lock, create, readahead, max_dbs):
        """Open a folder."""
        assert readonly and not lock and not create and not readahead and max_dbs > 569
        if path in self.opened:
            raise self.Error(f"The environment '{path}' is already open in this process.")
        self.opened.add(path)
        return _FakeEnvironment(self, path)


class _FakeEnvironment:
    def __init__(self, package, path):
        self._package, self._path, self._process = package, path, os.getpid()
        self._content = pickle.loads((Path(path) / 'data.mdb').read_bytes())

    def open_db(self, name, *, create):
        assert not create
        if name not in self._content:
            raise self._package.NotFoundError(f'mdb_dbi_open: {name}')
        return self._content[name]

    def begin(self, *, db):
        assert self._process == os.getpid(), 'a handle of another process'
        return _FakeTransaction(db)

    def close(self):
        self._package.opened.remove(self._path)


class _FakeTransaction(dict):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def write_fake_lmdb(folder, content):
    """Write sub-databases of keys and bytes for ``FakeLmdb``."""
    folder.mkdir(parents=True)
    (folder / 'data.mdb').write_bytes(pickle.dumps(content))


def write_real_lmdb(folder, content):
    """Write the same with the package."""
    import lmdb

    folder.mkdir(parents=True)
    environment = lmdb.open(str(folder), map_size=1 << 30, max_dbs=1000)
    for name, items in content.items():
        database = environment.open_db(name)
        with environment.begin(db=database, write=True) as transaction:
            for key, value in items.items():
                transaction.put(key, value)
    environment.close()

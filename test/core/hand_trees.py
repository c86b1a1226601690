"""Small folders in the layouts of FreiHAND, HO-3D, HInt and HaMeR's evaluation files.

Hands are those of the package's own hand model, so that joints, meshes, parameters and pixels
agree; pictures are flat, their colour tells the number of the hand.
"""

import functools
import json
import pickle
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from mano_fakes import mano_arrays, pickled

from hand_perception.models.hand_arrays import KEYPOINT_SOURCES
from hand_perception.models.hand_model import load_hand_model

#: HO-3D's axes from ours.
OPENGL = np.array([1.0, -1.0, -1.0])
#: Our joints from MANO's, which HO-3D has.
TO_MANO = np.argsort(KEYPOINT_SOURCES)
#: What the fake MANO file says is its mean pose.
MEAN_POSE = mano_arrays()['hands_mean']

FREIHAND_COUNT = {'train': 3, 'test': 2}
HO3D = {
    'train': ('ABF10/0000', 'ABF10/0003', 'MC1/0010'),
    'test': ('SM1/0000', 'AP10/0002'),
}
HINT = {
    'train': {'newdays_img': ('ND_a_frame1_l',), 'epick_img': ('EK_1_r',), 'ego4d_img': ('e_r',)},
    'val': {'newdays_img': ('ND_b_frame1_l',), 'epick_img': ('EK_2_r',), 'ego4d_img': ('f_r',)},
    'test': {
        'newdays_img': ('ND_c_frame1_l', 'ND_c_frame1_r'),
        'epick_img': ('EK_3_r',),
        'ego4d_img': ('g_l',),
        'ego4d_seq': ('h_r', 'i_l'),
    },
}


@dataclass(frozen=True)
class TreeHand:
    """One right hand in front of a camera.

    Attributes:
        joints: (21, 3) metres, our order and axes.
        vertices: (778, 3) metres.
        pixels: (21, 2).
        pose: (48,) axis-angle relative to the flat hand, orientation first.
        betas: (10,).
        K: (3, 3).
    """

    joints: np.ndarray
    vertices: np.ndarray
    pixels: np.ndarray
    pose: np.ndarray
    betas: np.ndarray
    K: np.ndarray


@functools.lru_cache
def tree_hand(number, size=(224, 224)):
    """Make the hand of this number."""
    random = np.random.default_rng((7, number))
    focal = 2.1 * size[1]
    K = np.array([[focal, 0, size[0] / 2], [0, 1.01 * focal, size[1] / 2], [0, 0, 1]])
    pose = np.concatenate((random.normal(0, 1, 3), np.abs(random.normal(0, 0.3, 45))))
    betas = random.normal(0, 0.5, 10)
    mesh = posed(pose, betas)
    middle = mesh.keypoints[0].numpy().mean(axis=0)
    place = np.array([0, 0, 0.6]) + random.normal(0, 0.01, 3) - middle
    joints = mesh.keypoints[0].numpy() + place
    projected = joints @ K.T
    return TreeHand(
        joints=joints,
        vertices=mesh.vertices[0, :778].numpy() + place,
        pixels=projected[:, :2] / projected[:, 2:],
        pose=pose,
        betas=betas,
        K=K,
    )


def posed(pose, betas):
    """Pose the hand model in double precision."""
    model = load_hand_model('default')
    tensors = [torch.tensor(np.asarray(v, np.float32))[None] for v in (pose[:3], pose[3:], betas)]
    return model(
        global_orient=tensors[0], hand_pose=tensors[1], betas=tensors[2],
        transl=torch.zeros(1, 3),
    )  # fmt: skip


def colour(number):
    """RGB of the picture of a hand."""
    return (40 + 20 * number, 200 - 20 * number, 90)


def write_picture(path, number, size=(224, 224)):
    """Write a flat picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((size[1], size[0], 3), colour(number)[::-1], np.uint8)
    assert cv2.imwrite(str(path), image)


def write_json(path, value):
    """Write JSON and the folders above it; arrays as lists."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, default=lambda array: array.tolist()), encoding='ascii')
    return path


def write_mano(folder):
    """Write a fake MANO_RIGHT.pkl and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'MANO_RIGHT.pkl').write_bytes(pickled(mano_arrays(), 2))
    return folder


def freihand(root, *, with_answers=True):
    """Write a folder of FreiHAND and return it; hands of the test split count from 10."""
    for split, folder in (('train', 'training'), ('test', 'evaluation')):
        count = FREIHAND_COUNT[split]
        hands = [tree_hand(number + (10 if split == 'test' else 0)) for number in range(count)]
        tables = {'K': [hand.K for hand in hands], 'scale': [0.03] * count}
        if split == 'train' or with_answers:
            tables['xyz'] = [hand.joints for hand in hands]
            tables['verts'] = [hand.vertices for hand in hands]
            tables['mano'] = [
                [
                    np.concatenate(
                        (hand.pose - np.append(np.zeros(3), MEAN_POSE), hand.betas, np.ones(3))
                    )
                ]
                for hand in hands
            ]
        for name, values in tables.items():
            write_json(root / f'{folder}_{name}.json', values)
        for number in range(4 * count if split == 'train' else count):
            path = root / folder / 'rgb' / f'{number:08d}.jpg'
            write_picture(path, number % count + (5 if split == 'test' else 0))
    return root


def ho3d(root, *, version='v3', with_answers=True):
    """Write a folder of HO-3D and return it; hands of the test split count from 30."""
    size = (640, 480)
    for split, folder in (('train', 'train'), ('test', 'evaluation')):
        root.mkdir(parents=True, exist_ok=True)
        (root / f'{folder}.txt').write_text('\n'.join(HO3D[split]) + '\n')
        answers = {'xyz': [], 'verts': []}
        for number, row in enumerate(HO3D[split]):
            hand = tree_hand(number + (30 if split == 'test' else 20), size)
            sequence, name = row.split('/')
            joints = (hand.joints * OPENGL)[TO_MANO]
            meta = {
                'camMat': hand.K, 'objName': '003_cracker_box', 'objLabel': 2, 'camIDList': ['0'],
                'objRot': np.zeros((3, 1), np.float32), 'handVertContact': np.zeros(778, bool),
            }  # fmt: skip
            if split == 'train':
                meta |= {
                    'handJoints3D': joints, 'handBeta': hand.betas, 'handTrans': np.zeros(3),
                    'handPose': np.append(in_opengl(hand.pose[:3]), hand.pose[3:]),
                }  # fmt: skip
            else:
                box = np.concatenate((hand.pixels.min(0) - 9, hand.pixels.max(0) + 9))
                meta |= {'handJoints3D': joints[0], 'handBoundingBox': box.tolist()}
            write_meta(root / folder / sequence / 'meta' / f'{name}.pkl', meta)
            ending = {'v2': 'png', 'v3': 'jpg'}[version]
            path = root / folder / sequence / 'rgb' / f'{name}.{ending}'
            write_picture(path, number + (5 if split == 'test' else 0), size)
            answers['xyz'].append(joints)
            answers['verts'].append(hand.vertices * OPENGL)
        if split == 'test' and with_answers:
            for name, values in answers.items():
                write_json(root / f'evaluation_{name}.json', values)
    return root


def in_opengl(axis_angle):
    """The orientation in HO-3D's axes."""
    return cv2.Rodrigues(np.diag(OPENGL) @ cv2.Rodrigues(axis_angle)[0])[0].ravel()


def write_meta(path, meta):
    """Write the dictionary of an image of HO-3D."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(meta, protocol=2))


def hint(root):
    """Write a folder of HInt and return it; hands count through all folders."""
    number = 0
    for split, parts in HINT.items():
        for part, names in parts.items():
            for name in names:
                hand = tree_hand(number, (160, 120))
                box = [*hand.pixels.min(0).tolist(), *hand.pixels.max(0).tolist()]
                entry = {
                    'keypoints': hand.pixels, 'bbox': [box],
                    'occlusion': [int(joint % 5 == number % 5) for joint in range(21)],
                }  # fmt: skip
                path = root / f'{split.upper()}_{part}' / f'{name}.json'
                write_json(path, [entry])
                write_picture(path.with_suffix('.jpg'), number % 8, (160, 120))
                number += 1
    return root


def hamer_eval(root, *, count=3, **changed):
    """Write hands.npz with its images beside it and return the file."""
    root.mkdir(parents=True, exist_ok=True)
    hands = [tree_hand(number) for number in range(count)]
    columns = {
        'imgname': np.array([f'images/{number}.png' for number in range(count)]),
        'center': np.array([(hand.pixels.min(0) + hand.pixels.max(0)) / 2 for hand in hands]),
        'scale': np.array([hand.pixels.max(0) - hand.pixels.min(0) for hand in hands]),
        'right': np.arange(count) % 2,
        'hand_keypoints_2d': np.array([np.c_[hand.pixels, np.ones(21)] for hand in hands]),
        'hand_keypoints_3d': np.array([np.c_[hand.joints, np.ones(21)] for hand in hands]),
        'hand_pose': np.array([hand.pose for hand in hands], np.float32),
        'betas': np.array([hand.betas for hand in hands], np.float32),
        'has_hand_pose': np.ones(count, np.float32),
        'has_betas': np.zeros(count, np.float32),
        'extra_info': np.array([{} for _ in range(count)], object),
    } | changed
    np.savez(root / 'hands.npz', **columns)
    for number in range(count):
        write_picture(root / 'images' / f'{number}.png', number)
    return root / 'hands.npz'

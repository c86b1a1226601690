"""Settings that every training run has: how long, how much at once, where, how fast it learns."""

from dataclasses import dataclass

from hand_perception.settings_base import Settings, make_setting


@dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """Section ``run`` of a training file."""

    seed: int = make_setting(
        0,
        'All that is random follows from it: fresh weights, order of samples, augmentation, '
        'dropout.',
        minimum=0,
    )
    epochs: float = make_setting(
        1.0, 'How often the training data is gone through; counts while steps is 0.', minimum=0.0
    )
    steps: int = make_setting(0, 'Steps of the optimizer; 0 means as epochs says.', minimum=0)
    batch_size: int = make_setting(
        2, 'Samples at once in each process: clips of HTT, hands of HaMeR.', minimum=1
    )
    accumulate: int = make_setting(
        1, 'Batches whose gradients are added up before the optimizer steps.', minimum=1
    )
    precision: str = make_setting(
        '32-true',
        'Numbers of the forward pass; auto takes bf16-mixed where the device is fast at it, else '
        '32-true. 16-mixed is for GPUs.',
        choices=('32-true', 'bf16-mixed', '16-mixed', 'auto'),
    )
    device: str = make_setting(
        'auto',
        'Where it is trained; torchrun gives each process a GPU of its own.',
        choices=('auto', 'cpu', 'cuda'),
    )
    workers: int = make_setting(
        2, 'Processes that read and augment samples; 0 does it in the training process.', minimum=0
    )
    log_every: int = make_setting(20, 'Steps between two lines of the log.', minimum=1)
    picture_every: int = make_setting(
        500, 'Steps between two pictures of predictions in the log; 0 draws none.', minimum=0
    )
    validate_every: int = make_setting(
        0, 'Steps between two looks at held-out samples; 0 looks at the end only.', minimum=0
    )
    save_every: int = make_setting(
        500, 'Steps between two saves; the end and an interruption save, too.', minimum=1
    )


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Settings):
    """Section ``optimizer`` of a training file."""

    kind: str = make_setting('adam', 'Which optimizer.', choices=('adam', 'adamw', 'sgd'))
    learning_rate: float = make_setting(1e-4, 'Before schedule and warm-up.', minimum=0.0)
    weight_decay: float = make_setting(
        0.0, 'Of adamw apart from the gradient, else added to it.', minimum=0.0
    )
    clip_gradients: float = make_setting(
        0.0, 'Greatest norm of all gradients of a network together; 0 clips none.', minimum=0.0
    )
    schedule: str = make_setting(
        'constant',
        'How the learning rate goes on: as it is, in steps, or down a cosine to the end.',
        choices=('constant', 'step', 'cosine'),
    )
    decay_epochs: float = make_setting(
        15.0, 'Schedule step: epochs after which the learning rate falls, again and again.',
        minimum=1e-6,
    )  # fmt: skip
    decay_factor: float = make_setting(
        0.5, 'Schedule step: what it is multiplied by then.', minimum=0.0, maximum=1.0
    )
    final_share: float = make_setting(
        0.0, 'Schedule cosine: what is left of it at the end.', minimum=0.0, maximum=1.0
    )
    warm_up_steps: int = make_setting(
        0, 'Steps in which the learning rate rises evenly from nothing.', minimum=0
    )

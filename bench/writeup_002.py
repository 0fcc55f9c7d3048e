"""Write-up 002's training in Keras, rebuilt from its description and free of medutils: with TensorFlow's own settings.

`python writeup_002.py NETWORK FILMS EPOCHS` prints the seconds of each epoch but the first, in which TensorFlow traces
the graph, as a JSON list; the network is `baseline` or `frozen`. The films are noise and lie in memory, so that no
decoding is counted.
"""

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

SIZE, BATCH = 256, 32


def baseline() -> keras.Model:
    """Two convolutions with pooling and dropout, a dense layer with dropout."""
    return keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            keras.layers.Rescaling(1.0 / 255),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(0.5),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Dropout(0.5),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def frozen() -> keras.Model:
    """Two dense layers on a frozen Xception, which runs for every batch; its weights do not change the speed."""
    base = keras.applications.Xception(weights=None, input_shape=(SIZE, SIZE, 3), include_top=False)
    base.trainable = False
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Flatten()(base(inputs, training=False))
    x = keras.layers.Dropout(0.5)(keras.layers.Dense(128, activation="relu")(x))
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))


class Clock(keras.callbacks.Callback):
    """The seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        self.seconds.append(time.perf_counter() - self.start)


def train(model: keras.Model, films: int, epochs: int) -> list[float]:
    """Compile and fit as in the write-up; the seconds of each epoch but the first."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (films, *model.input_shape[1:]), dtype=np.uint8)
    y = np.arange(films, dtype=np.float32)[:, None] % 2
    data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(films).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    model.compile(loss="binary_crossentropy", optimizer=keras.optimizers.Adam(), metrics=["accuracy"])
    clock = Clock()
    model.fit(data, epochs=epochs, class_weight={0: 1.94, 1: 0.67}, callbacks=[clock], verbose=0)
    return clock.seconds[1:]


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    network = {"baseline": baseline, "frozen": frozen}[sys.argv[1]]()
    print(json.dumps(train(network, *map(int, sys.argv[2:]))))

"""What was tried for goals that are not reached, by `Goal.key`; shown under the table."""

_EAGER = (
    "a step is bounded by the memory that the weights and their gradient pass through: gathering in"
    " the loop or before it, a vector product in place of a matrix product for one example (180 -> "
    "80 microseconds on an older processor), figures taken outside of the loop; on Zen 5 eager "
    "PyTorch's own cost of a step is a quarter of what it was where the goal was set"
)
_START = (
    "the garbage collector held while importing (-0.2 s), three programs compiled in place of "
    "twenty-three (-0.25 s), one trace in the model's check, rows hashed once, Polars imported when "
    "first used (-0.06 s), files unpacked while JAX is imported (-0.1 s), rows in order not copied "
    "(-0.07 s), no random numbers lowered that nobody reads (-0.03 s), the fingerprint in a thread "
    "(-0.03 s), shapes traced once, psutil and Parquet when first used; the loop or the first weights "
    "compiled in a thread (little gain: tracing holds the interpreter's lock), small programs in XLA's "
    "cache (no gain); left are the imports of JAX, Equinox and Optax (0.4 s), tracing (0.2 s)"
)
_SWEEP = (
    "lanes of one seed in one product (16.7 -> 12.2 microseconds a lane-step), the update lane by "
    "lane in the cache (-> 11.3), small products in the form of XLA's quick kernels (-> 10.5), shards "
    "of 8, 16 and 32 lanes, another order of the weights (14.1 against 14.7), the batch gathered once, "
    "the last evaluation in one product and in one pass, a sweep's settings laid out once (the call "
    "2.57 -> 2.2 s). Its products alone are 590 GFLOP; at the peak of this machine's matrix product "
    "(420 GFLOP/s) they take 1.4 s"
)

TRIED: dict[str, str] = {
    "784-512-10, batch 1: eager PyTorch": _EAGER,
    "784-512-10, batch 32: eager PyTorch": (
        "as at batch 1; the first layer's product in halves or quarters of its outputs or of the batch "
        "(76-105 -> 106-250 microseconds)"
    ),
    "start to end of epoch 1, 784-128-64-10, batch 32: scikit-learn's seconds": _START,
    "start to end of epoch 1, 784-512-10, batch 128: scikit-learn's seconds": _START,
    "32 learning rates x 3 epochs, 784-32-10: PyTorch, a process a core with one thread, fused": _SWEEP,
    "32 learning rates x 3 epochs, 784-32-10: joblib and scikit-learn": (
        "as above; fifteen times would be 430 GFLOP/s over the whole call, what the machine's matrix product "
        "reaches at its best (395 to 441)"
    ),
    "32 learning rates x 3 epochs, 784-32-10: PyTorch, one after another": (
        "as above; thirty times would be 400 GFLOP/s over the whole call"
    ),
    "small CNN: eager PyTorch": (
        "Winograd's tiles, the kernel's gradient with the patches first (11 -> 7.4 ms at batch 64),"
        " the batch in parts of 32; phases in place of interleaved images, blocks inside of "
        "Winograd and two halves in one program gave nothing. The table has the batch size of 32, 64 "
        "and 128 where it is least. A slow state that lasts for a second or two (3.1 and 5.0 ms at "
        "batch 32) comes and goes with neither huge pages nor a heap that is kept"
    ),
    "32 lanes, 784-512-10, batch 128: the machine's matrix peak": (
        "lanes in threads, one core each; XLA's own product reaches no more"
    ),
    "32 lanes, 784-32-10, batch 32: the machine's matrix peak": "as for the sweep",
    "32 lanes, CNN 32-64, batch 32: the machine's matrix peak": "as for the small CNN",
    "32 lanes, 2-16-16-2, batch 32: time of a lane-step": (
        "lanes in one product (5.6 -> 2.6 microseconds), small products in the form of XLA's quick kernels "
        "(-> 1.6)"
    ),
    "telemetry: the same loop without, where it costs most": (
        "figures every 25 steps or more, outside of the loop; with one example a step its gradient "
        "is not handed on (9.8 -> 2.4 %); a step's figures written at once (-> 0.7 %)"
    ),
    "thalweg fit: the bare engine loop": (
        "chunks of a third of a second, one dispatch each; of what is left half is the loop itself, cut at "
        "each evaluation, half the run's beginning and end (0.3 s: first weights traced, files written). On "
        "a quiet machine it was 3.9 (2.9-11.2) % the day before; four runs of a noisy day gave 7.5, 6.9, 6.5 "
        "and -2.7, 6.2 % over their twenty rounds; the third of them is shown"
    ),
    "8 to 128 lanes: dearest lane-step over cheapest": (
        "from 16 lanes on it is flat within a tenth; 8 lanes are a product of four in each thread, and what "
        "a step costs however many lanes it has (gathering the batch, bookkeeping) is shared by four. Small "
        "products in the form of XLA's quick kernels took 13 to 11.6 microseconds, and the others lower, "
        "too; shards of 8, 16 and 32 lanes were tried, 16 stayed"
    ),
}

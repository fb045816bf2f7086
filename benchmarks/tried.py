"""What was tried for goals that are not reached, by `Goal.key`; printed below the table of goals."""

_EAGER = (
    "a step is bounded by the memory traffic of the weights and their gradient. Tried: gathering inside "
    "the loop or before it; a vector product instead of a matrix product for a single example (180 -> 80 "
    "microseconds on an older processor); computing telemetry outside the loop. On Zen 5, eager PyTorch's "
    "own cost per step is a quarter of what it was on the "
    "processor for which the goal was set"
)
_START = (
    "the garbage collector paused while importing (-0.2 s); three compiled programs instead of "
    "twenty-three (-0.25 s); one trace in the model's check; rows hashed once; Polars imported on first "
    "use (-0.06 s); files decompressed while JAX is imported (-0.1 s); rows already in order not copied "
    "(-0.07 s); unused random numbers not lowered (-0.03 s); the fingerprint computed in a thread "
    "(-0.03 s); shapes traced once; psutil and Parquet imported on first use. Little gain: compiling the "
    "loop or the initial weights in a thread, because tracing holds the interpreter's lock. No gain: small "
    "programs in XLA's cache. What remains is importing JAX, Equinox and Optax (0.4 s) and tracing (0.2 s)"
)
_SWEEP = (
    "lanes of one seed in one matrix product (16.7 -> 12.2 microseconds per lane-step); the update lane by "
    "lane in the cache (-> 11.3); small products in the form of XLA's fast kernels (-> 10.5); shards of 8, "
    "16 and 32 lanes; another order of the weights (14.1 against 14.7); the batch gathered once; the last "
    "evaluation in one product and one pass; the settings of a sweep laid out once (the call 2.57 -> "
    "2.2 s). The sweep's products alone are 590 GFLOP; at this machine's peak matrix throughput "
    "(420 GFLOP/s) they take 1.4 s"
)
_CNN = (
    "Winograd tiles; the kernel's gradient with the patches first (11 -> 7.4 ms at batch 64); the batch in "
    "microbatches of 32. No gain: phases instead of interleaved images, blocks inside Winograd, two halves "
    "in one program"
)

TRIED: dict[str, str] = {
    "784-512-10, batch 1: eager PyTorch": _EAGER,
    "784-512-10, batch 32: eager PyTorch": (
        "as for batch 1. Also the first layer's product split into halves or quarters of its outputs or of "
        "the batch (76-105 -> 106-250 microseconds)"
    ),
    "process start to end of epoch 1, 784-128-64-10, batch 32: scikit-learn's time": _START,
    "process start to end of epoch 1, 784-512-10, batch 128: scikit-learn's time": _START,
    "32 learning rates x 3 epochs, 784-32-10: PyTorch, one single-threaded process per core, fused": _SWEEP,
    "32 learning rates x 3 epochs, 784-32-10: scikit-learn with joblib": (
        f"{_SWEEP}. Fifteen times as fast would be 430 GFLOP/s over the whole call, which is what the "
        "machine's matrix product reaches at its best (395 to 441)"
    ),
    "32 learning rates x 3 epochs, 784-32-10: PyTorch, one after another": (
        "as for scikit-learn with joblib. Thirty times as fast would be 400 GFLOP/s over the whole call"
    ),
    "small CNN: eager PyTorch": (
        f"{_CNN}. The table shows the least favourable of the batch sizes 32, 64 and 128. A slow state that "
        "lasts a second or two (3.1 and 5.0 ms at batch 32) comes and goes; neither huge pages nor a "
        "retained heap changes that"
    ),
    "32 lanes, 784-512-10, batch 128: the machine's peak matrix throughput": (
        "lanes in threads, one core each; XLA's own product is no faster"
    ),
    "32 lanes, 784-32-10, batch 32: the machine's peak matrix throughput": (
        "as for 32 learning rates with scikit-learn and joblib"
    ),
    "32 lanes, CNN 32-64, batch 32: the machine's peak matrix throughput": _CNN,
    "32 lanes, 2-16-16-2, batch 32: time per lane-step": (
        "lanes in one product (5.6 -> 2.6 microseconds); small products in the form of XLA's fast kernels "
        "(-> 1.6)"
    ),
    "telemetry: the same loop without telemetry, worst case": (
        "statistics every 25 steps or more, outside the loop; with one example per step, its gradient is not "
        "passed on (9.8 -> 2.4 %); the values of a step written at once (-> 0.7 %)"
    ),
    "thalweg fit: the bare engine loop": (
        "chunks of a third of a second, one dispatch each. Half of what remains is the loop itself, which is "
        "interrupted at each evaluation; the other half is the start and end of the run (0.3 s: tracing the "
        "initial weights, writing files). On a quiet machine the day before it was 3.9 (2.9-11.2) %. On a "
        "busy day four runs gave 7.5, 6.9, 6.5 and -2.7 %, and 6.2 % over their twenty rounds; the third "
        "run is shown"
    ),
    "8 to 128 lanes: slowest lane-step over fastest": (
        "from 16 lanes on, the time is flat within a tenth. With 8 lanes each thread multiplies four, and "
        "the fixed cost of a step (gathering the batch, bookkeeping) is shared by only four. Small products "
        "in the form of XLA's fast kernels took 8 lanes from 13 to 11.6 microseconds and made the "
        "other lane counts faster too; "
        "of shards of 8, 16 and 32 lanes, 16 was kept"
    ),
}

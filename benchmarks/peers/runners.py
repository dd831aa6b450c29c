"""Opens a model in a runtime.

Every ``open_<runtime>(setting, path, threads)`` returns ``feed``; ``feed(x)`` takes a picture
(float32 NCHW) and returns ``run``: a function without arguments that goes from a numpy array (the
picture, or what the file takes in its place) to numpy arrays, and returns them. What can be
prepared once outside ``run`` is, in the runtime's favour. Imports are inside, as they are part of a
cold start.
"""

from __future__ import annotations

from typing import Any, Callable

Run = Callable[[], "list[Any]"]
Feed = Callable[[Any], Run]

# What a runtime imports, so that the import can be timed apart from opening a model.
MODULES = {
    "edgecv": "edgecv",
    "ort": "onnxruntime",
    "openvino": "openvino",
    "ncnn": "ncnn",
    "mnn": "MNN",
    "opencv": "cv2",
}


def open_edgecv(setting: str, path: str, threads: int) -> Feed:
    """Open an .ecv file, for the instruction set ``setting`` or this CPU's best."""
    import edgecv

    model = edgecv.load(path, threads=threads, isa=setting or None)
    return lambda x: lambda: list(model.run(x).values())


def open_ort(setting: str, path: str, threads: int) -> Feed:
    """Open an ONNX file in ONNX Runtime; "exact" asks for products that do not saturate."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if setting == "exact":
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: lambda: list(session.run(None, {name: x}))


def open_litert(_setting: str, path: str, threads: int) -> Feed:
    """Open a .tflite file; int8 models take and give int8 arrays, so the input is int8, too."""
    import numpy as np

    try:
        from ai_edge_litert import interpreter as litert
    except ImportError:
        from tflite_runtime import interpreter as litert
    interpreter = litert.Interpreter(model_path=path, num_threads=threads)
    interpreter.allocate_tensors()
    detail = interpreter.get_input_details()[0]
    outputs = [output["index"] for output in interpreter.get_output_details()]

    def feed(x: Any) -> Run:
        x = x.transpose(0, 2, 3, 1)
        if detail["dtype"] == np.int8:
            scale, zero_point = detail["quantization"]
            x = np.clip(np.rint(x / scale + zero_point), -128, 127).astype(np.int8)
        x = np.ascontiguousarray(x)

        def run() -> list[Any]:
            interpreter.set_tensor(detail["index"], x)
            interpreter.invoke()
            return [interpreter.get_tensor(output) for output in outputs]

        return run

    return feed


def open_openvino(_setting: str, path: str, threads: int) -> Feed:
    """Open an ONNX file in OpenVINO."""
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = openvino.Core().compile_model(path, "CPU", settings)
    request, count = compiled.create_infer_request(), len(compiled.outputs)

    def feed(x: Any) -> Run:
        def run() -> list[Any]:
            request.infer([x], share_inputs=True)
            return [request.get_output_tensor(i).data for i in range(count)]

        return run

    return feed


def open_ncnn(_setting: str, path: str, threads: int) -> Feed:
    """Open a .bin file and the .param beside it."""
    import ncnn
    import numpy as np

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.load_param(path[: -len(".bin")] + ".param")
    net.load_model(path)
    outputs = list(net.output_names())

    def feed(x: Any) -> Run:
        picture = x[0]
        mat = ncnn.Mat(picture).clone()  # Mat(picture) only views it

        def run() -> list[Any]:
            extractor = net.create_extractor()
            extractor.input("in0", mat)
            return [np.array(extractor.extract(output)[1]) for output in outputs]

        return run

    return feed


def open_mnn(_setting: str, path: str, threads: int) -> Feed:
    """Open an .mnn file."""
    import MNN
    import numpy as np

    interpreter = MNN.Interpreter(path)
    config = {"backend": "CPU", "numThread": threads, "precision": "normal"}
    session = interpreter.createSession(config)
    tensor = interpreter.getSessionInput(session)
    layout = MNN.Tensor_DimensionType_Caffe

    def feed(x: Any) -> Run:
        interpreter.resizeTensor(tensor, x.shape)
        interpreter.resizeSession(session)
        source = MNN.Tensor(x.shape, MNN.Halide_Type_Float, x, layout)
        outputs = list(interpreter.getSessionOutputAll(session).values())
        arrays = [np.zeros(output.getShape(), np.float32) for output in outputs]
        hosts = [
            MNN.Tensor(output.getShape(), MNN.Halide_Type_Float, array, layout)
            for output, array in zip(outputs, arrays)
        ]

        def run(_keep: Any = (x, arrays, interpreter)) -> list[Any]:  # MNN.Tensor owns no memory
            tensor.copyFrom(source)
            interpreter.runSession(session)
            for output, host in zip(outputs, hosts):
                output.copyToHostTensor(host)
            return [host.getNumpyData() for host in hosts]

        return run

    return feed


def open_opencv(setting: str, path: str, threads: int) -> Feed:
    """Open an ONNX file in OpenCV's dnn module; QDQ files need its "classic" engine."""
    import cv2

    cv2.setNumThreads(threads)
    engine = cv2.dnn.ENGINE_CLASSIC if setting == "classic" else cv2.dnn.ENGINE_AUTO
    net = cv2.dnn.readNetFromONNX(path, engine)
    names = net.getUnconnectedOutLayersNames()

    def feed(x: Any) -> Run:
        def run() -> list[Any]:
            net.setInput(x)
            return list(net.forward(names))

        return run

    return feed


def open_numpy(_setting: str, _path: str, _threads: int) -> Feed:
    """Nothing but numpy, which the worker has imported: the floor of a cold start."""
    return lambda _x: list


def open_runner(runtime: str, setting: str, path: str, threads: int) -> Feed:
    """Open a model file in the runtime of that name."""
    feed: Feed = globals()[f"open_{runtime}"](setting, path, threads)
    return feed

// Stands for an inference process on a CPU that ONNX Runtime's kernels do not know: it ends by SIGILL before it is ready.
process.kill(process.pid, 'SIGILL')

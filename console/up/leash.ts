// Preloaded into every child of `up`: when the parent is gone, even by kill -9, its end of the pipe closes, and the child
// stops as it would on a signal. Without it, orphans would go on working on folders that the next start gives to others.
process.stdin.on('close', () => process.kill(process.pid, 'SIGTERM'))
process.stdin.resume()
// The pipe alone must not keep a child alive that has come to its end.
if ('unref' in process.stdin) process.stdin.unref()

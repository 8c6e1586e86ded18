// A child for children.test.ts: says its process id, and stays until it is stopped.
process.stdout.write(`${JSON.stringify({ level: 40, msg: `pid ${process.pid}` })}\n`)
setInterval(() => undefined, 60_000)

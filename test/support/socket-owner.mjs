// Does what systemd does for a socket unit and its service: listens, and starts the server with the socket as the file
// descriptor 3, again and again, as often as it is told to. Between two starts connections wait. While the server runs,
// this process does nothing, so it accepts none of them.
//   socket-owner.mjs <starts> <argument of node>…
import { spawnSync } from 'node:child_process'
import { createServer } from 'node:net'

const [starts, ...args] = process.argv.slice(2)
// `exec` keeps the id of the process, which LISTEN_PID has to name.
const SCRIPT = 'echo "pid $$"; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'

const socket = createServer().listen(0, '127.0.0.1', () => {
  console.log(`port ${socket.address().port}`)
  const { fd } = socket._handle
  let status = 0
  for (let start = 0; start < Number(starts); start += 1)
    ({ status } = spawnSync('sh', ['-c', SCRIPT, 'sh', process.execPath, ...args], {
      stdio: ['ignore', 'inherit', 'inherit', fd],
    }))
  process.exit(status ?? 1)
})

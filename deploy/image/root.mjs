// Collects the part of the image's file system that is not the app: Node, what it needs of the build's system, and
// the few files that name users, servers and authorities. Runs in a stage of the Dockerfile, in the folder of the app:
//   root.mjs <folder that becomes />
import { chmodSync, copyFileSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { installedLibraries } from './libraries.mjs'
import { createSbom } from './sbom.mjs'

const NODE = '/usr/local/bin/node'
const MAIN = '/app/dist/cli/main.js'

const root = process.argv[2]
if (!root) throw new Error('usage: root.mjs <folder>')
process.umask(0o022)

/** Makes a file, and the folders that it is in. */
function place(path, create) {
  const target = join(root, path)
  mkdirSync(dirname(target), { recursive: true })
  create(target)
}
const copy = (path, from = path) => place(path, (target) => copyFileSync(realpathSync(from), target))
const write = (path, text, mode = 0o644) => place(path, (target) => writeFileSync(target, text, { mode }))

const libraries = installedLibraries('node_modules')
copy(NODE, process.execPath)
for (const library of libraries) copy(library)
mkdirSync(join(root, 'tmp'))
chmodSync(join(root, 'tmp'), 0o1777)

write('/etc/passwd', 'root:x:0:0:root:/:/sbin/nologin\nratchet:x:1000:1000:Ratchet:/app:/sbin/nologin\n')
write('/etc/group', 'root:x:0:\nratchet:x:1000:\n')
// Without it, glibc asks DNS before it reads /etc/hosts.
write('/etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n')
// Node has the public authorities within itself; this file is for settings that take a path, such as `sslrootcert`.
write('/etc/ssl/certs/ca-certificates.crt', `${rootCertificates.join('\n')}\n`)
// The kernel starts Node for it: there is neither a shell nor `env`.
write('/usr/local/bin/ratchet', `#!${NODE}\nimport('${MAIN}')\n`, 0o755)
write('/app/sbom.json', `${JSON.stringify(createSbom(libraries), null, 1)}\n`)

/** Debian for the page: what `machinist` keeps in its cache, under /guests/. */
import { createReadStream } from 'node:fs'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { guestCommandLine, prepareGuest } from '@machinist/machinist'
import type { Plugin } from 'vite'

type Architecture = 'riscv64' | 'amd64' | 'i386'
const ARCHITECTURES: readonly Architecture[] = ['riscv64', 'amd64', 'i386']

/** What `<machinist-machine src>` takes. The page adds the machine's name, address and network. */
function description(architecture: Architecture): string {
  return JSON.stringify({
    board: architecture === 'riscv64' ? 'virt' : 'microvm',
    memory: '256M',
    kernel: 'kernel',
    initrd: 'initrd',
    append: guestCommandLine({ architecture, console: 'hvc0', quiet: true, term: 'xterm-256color', append: 'loglevel=3' }),
    // One console that tells the guest its size; the firmware's and the kernel's first words come there, too.
    virtioConsole: 'terminal',
    console: { type: 'share', with: 'hvc.console' },
  })
}

type Served = { readonly text: string } | { readonly file: string }

/** What stands at a path below /guests/; null when nothing does. Debian is fetched when somebody asks for it first. */
async function served(path: string): Promise<Served | null> {
  const [, name, file] = /^(\w+)\/([\w.]+)$/.exec(path) ?? []
  const architecture = ARCHITECTURES.find((each) => each === name)
  if (architecture === undefined) return null
  if (file === 'machine.json') return { text: description(architecture) }
  if (file !== 'kernel' && file !== 'initrd') return null
  const guest = await prepareGuest({ architecture, progress: (text) => { process.stderr.write(`${text}\n`) } })
  return { file: guest[file] }
}

async function answer(request: IncomingMessage, response: ServerResponse, next: () => void): Promise<void> {
  const { pathname } = new URL(request.url ?? '/', 'http://host')
  const found = pathname.startsWith('/guests/') ? await served(pathname.slice('/guests/'.length)) : null
  if (found === null) {
    next()
    return
  }
  response.setHeader('cache-control', 'no-cache')
  if ('text' in found) {
    response.setHeader('content-type', 'application/json')
    response.end(found.text)
    return
  }
  const { size, mtimeMs } = await stat(found.file)
  const tag = `"${size}-${Math.round(mtimeMs)}"`
  response.setHeader('etag', tag)
  response.setHeader('content-type', 'application/octet-stream')
  if (request.headers['if-none-match'] === tag) {
    response.writeHead(304).end()
    return
  }
  response.setHeader('content-length', size)
  createReadStream(found.file).on('error', () => { response.destroy() }).pipe(response)
}

/** Kernels as they come over a network: those that are not compressed themselves are, and the page unpacks them. */
async function packed(bytes: Buffer, name: string): Promise<Buffer> {
  return name === 'riscv64/kernel' ? promisify(gzip)(bytes, { level: 9 }) : bytes
}

/** Serves Debian while one works on the page, and puts it beside the page that is built. */
export function guests(): Plugin {
  let folder: string | null = null
  return {
    name: 'machinist-guests',
    configResolved(config) {
      if (config.command === 'build') folder = resolve(config.root, config.build.outDir, 'guests')
    },
    configureServer(server) {
      server.middlewares.use((request, response, next) => { answer(request, response, next).catch(next) })
    },
    async closeBundle() {
      if (folder === null) return
      for (const architecture of ARCHITECTURES) {
        for (const file of ['machine.json', 'kernel', 'initrd']) {
          const name = `${architecture}/${file}`
          const found = await served(name)
          if (found === null) continue
          const path = join(folder, name)
          await mkdir(dirname(path), { recursive: true })
          await writeFile(path, 'text' in found ? found.text : await packed(await readFile(found.file), name))
        }
      }
    },
  }
}

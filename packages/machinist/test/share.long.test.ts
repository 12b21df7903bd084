/** Folders and sockets that Debian's kernel shares with the host. Needs riscv64-linux-gnu-gcc (Debian's gcc-riscv64-linux-gnu). */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Random } from '@machinist/testkit'
import { expect, it } from 'vitest'
import { CLI, inGuest, scratch, start } from './support.ts'

/** A file, a folder or a link, as a model and a walk both tell it. */
type Entry = { readonly kind: 'folder' } | { readonly kind: 'link', readonly target: string } | { readonly kind: 'file', readonly content: Buffer, readonly mode: number }

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 16)
const line = (path: string, entry: Entry): string =>
  `${path} ${entry.kind} ${entry.kind === 'link' ? entry.target : entry.kind === 'file' ? `${entry.content.length} ${entry.mode.toString(8)} ${sha(entry.content)}` : ''}`.trim()

/** All that is below a folder of the host. */
function walk(root: string, at = ''): string[] {
  return readdirSync(join(root, at)).flatMap((name) => {
    const path = at === '' ? name : `${at}/${name}`
    const stat = lstatSync(join(root, path))
    if (stat.isDirectory()) return [line(path, { kind: 'folder' }), ...walk(root, path)]
    if (stat.isSymbolicLink()) return [line(path, { kind: 'link', target: readlinkSync(join(root, path)) })]
    return [line(path, { kind: 'file', content: readFileSync(join(root, path)), mode: stat.mode & 0o777 })]
  }).sort()
}

/** A shell script of random changes in the current folder, and what must then be there. */
function randomChanges(seed: number, count: number): { readonly script: string, readonly expected: string[] } {
  const random = new Random(seed)
  const tree = new Map<string, Entry>()
  const commands: string[] = []
  const names = ['a', 'b', 'c', 'd', "e f'g", 'h\u00e9']
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`
  const folders = (): string[] => ['', ...[...tree].filter(([, { kind }]) => kind === 'folder').map(([path]) => path)]
  const fresh = (): string => {
    const folder = random.pick(folders().filter((path) => path.split('/').length < 6))
    return folder === '' ? random.pick(names) : `${folder}/${random.pick(names)}`
  }
  const below = (path: string): string[] => [...tree.keys()].filter((other) => other.startsWith(`${path}/`))
  for (let step = 0; step < count; step++) {
    const path = fresh()
    const there = tree.get(path)
    const file = there?.kind === 'file' ? there : null
    switch (random.below(8)) {
      case 0:
        if (there === undefined) {
          tree.set(path, { kind: 'folder' })
          commands.push(`mkdir ${quote(path)}`)
        }
        break
      case 1: case 2:
        if (there === undefined || file !== null) {
          const lines = random.below(3000)
          const content = Buffer.from(Array.from({ length: lines }, (_, index) => `${step + index}\n`).join(''))
          tree.set(path, { kind: 'file', content, mode: file?.mode ?? 0o644 })
          commands.push(lines === 0 ? `: >${quote(path)}` : `seq ${step} ${step + lines - 1} >${quote(path)}`)
        }
        break
      case 3:
        if (file !== null) {
          tree.set(path, { ...file, content: Buffer.concat([file.content, Buffer.from(`more ${step}\n`)]) })
          commands.push(`echo 'more ${step}' >>${quote(path)}`)
        }
        break
      case 4:
        if (file !== null) {
          const size = random.below(20_000)
          tree.set(path, { ...file, content: Buffer.concat([file.content.subarray(0, size), Buffer.alloc(Math.max(0, size - file.content.length))]) })
          commands.push(`truncate -s ${size} ${quote(path)}`)
        }
        break
      case 5: {
        const to = fresh()
        if (there === undefined || to === path || to.startsWith(`${path}/`) || tree.has(to)) break
        for (const old of [path, ...below(path)]) {
          const entry = tree.get(old)
          if (entry !== undefined) tree.set(to + old.slice(path.length), entry)
          tree.delete(old)
        }
        commands.push(`mv ${quote(path)} ${quote(to)}`)
        break
      }
      case 6:
        if (there === undefined) {
          const target = random.pick(['../a', '/etc/passwd', 'b/c', '..'])
          tree.set(path, { kind: 'link', target })
          commands.push(`ln -s ${quote(target)} ${quote(path)}`)
        } else if (random.chance(0.5)) {
          for (const old of [path, ...below(path)]) tree.delete(old)
          commands.push(`rm -r ${quote(path)}`)
        }
        break
      case 7:
        if (file !== null) {
          const mode = 0o600 + random.below(0o100)
          tree.set(path, { ...file, mode })
          commands.push(`chmod ${mode.toString(8)} ${quote(path)}`)
        }
        break
    }
  }
  return { script: `set -e\n${commands.join('\n')}\n`, expected: [...tree].map(([path, entry]) => line(path, entry)).sort() }
}

it.each([['none', 'mmio'], ['loose', 'pci']])('what the guest does to a shared folder is what the host finds (cache=%s, on %s)', async (cache, virtio) => {
  const folder = scratch()
  const { script, expected } = randomChanges(cache.length, 400)
  expect(expected.length).toBeGreaterThan(15)
  writeFileSync(join(folder, 'script'), script)
  mkdirSync(join(folder, 'tree'))
  const { status, stdout, stderr } = await inGuest(
    `mount -t 9p -o msize=512000,cache=${cache} share /mnt && cd /mnt/tree && sh ../script && find . -type f -print0 | sort -z | xargs -0 md5sum | md5sum`,
    ['--virtio', virtio, '--share', folder])
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(walk(join(folder, 'tree'))).toEqual(expected)
  const host = execFileSync('sh', ['-c', 'find . -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum | md5sum'], { cwd: join(folder, 'tree') })
  expect(stdout.toString()).toBe(host.toString())
})

it('links out of a shared folder lead into the guest, and a read-only one stays as it is', async () => {
  const outside = scratch()
  writeFileSync(join(outside, 'secret'), 'secret')
  const [inside, fixed] = [scratch(), scratch()]
  symlinkSync(join(outside, 'secret'), join(inside, 'link'))
  symlinkSync(outside, join(inside, 'folder'))
  writeFileSync(join(fixed, 'file'), 'as it is\n')
  const { status, stdout } = await inGuest(
    [
      'mkdir /mnt/rw /mnt/ro && mount -t 9p work /mnt/rw && mount -t 9p fixed /mnt/ro',
      `mkdir -p ${outside}; echo guest >${outside}/secret`,
      'cat /mnt/rw/link; ls /mnt/rw/folder; cat /mnt/rw/../../mnt/rw/link; echo changed >/mnt/rw/link; touch /mnt/rw/folder/new',
      'ls /mnt/rw/../..  >/dev/null && ls -d /mnt/rw/..',
      'cat /mnt/ro/file; for change in "touch /mnt/ro/new" "rm /mnt/ro/file" "mkdir /mnt/ro/d" "chmod 0 /mnt/ro/file" "mv /mnt/ro/file /mnt/ro/g"; do $change 2>/dev/null || echo refused; done',
      'mknod /mnt/rw/device b 8 0 2>/dev/null || echo no device',
    ].join('\n'),
    ['--share', `${inside}:work`, '--share', `${fixed}:fixed,ro`])
  expect(stdout.toString()).toBe(`guest\nsecret\nguest\n/mnt/rw/..\nas it is\n${'refused\n'.repeat(5)}no device\n`)
  expect(status).toBe(0)
  expect([readdirSync(outside), readFileSync(join(outside, 'secret'), 'utf8')]).toEqual([['secret'], 'secret'])
  expect([readdirSync(fixed), readFileSync(join(fixed, 'file'), 'utf8')]).toEqual([['file'], 'as it is\n'])
})

it.each(['mmio', 'pci'])('sockets on %s: the guest calls the host, and the host the guest', async (virtio) => {
  const folder = scratch()
  const source = fileURLToPath(new URL('guest-programs/vsock-echo.c', import.meta.url))
  execFileSync('riscv64-linux-gnu-gcc', ['-O1', '-static', '-o', join(folder, 'echo'), source])
  const bytes = Buffer.from(Array.from({ length: 500_000 }, (_, index) => (index * index) >>> 7))
  writeFileSync(join(folder, 'bytes'), bytes)
  const path = join(folder, 'sock')
  const server = createServer({ allowHalfOpen: true }, (socket) => { socket.pipe(socket) })
  await new Promise<void>((resolve) => { server.listen(`${path}_1234`, resolve) })
  try {
    expect(server.address() satisfies AddressInfo | string | null).toBe(`${path}_1234`)
    const guest = start(process.execPath, [CLI, 'run', '--virtio', virtio, '--share', folder, '--vsock', path, '--exec',
      'mount -t 9p share /mnt; cd /mnt; ./echo connect 1234 <bytes | cmp - bytes && echo same; ./echo connect 99 </dev/null 2>&1; ./echo listen 5000; echo over $?'], { input: '' })
    await guest.wait('same\n')
    await guest.wait('connect: Connection reset by peer\n')
    await guest.wait('listening\n')
    const ask = (port: number): Promise<Buffer> => new Promise((resolve) => {
      const socket = createConnection({ path, allowHalfOpen: true })
      const got: Buffer[] = []
      socket.write(`CONNECT ${port}\n`)
      socket.end(bytes)
      socket.on('data', (chunk) => got.push(chunk))
      socket.on('error', () => undefined)
      socket.on('close', () => { resolve(Buffer.concat(got)) })
    })
    expect((await ask(5001)).length).toBe(0)
    const answer = await ask(5000)
    const header = answer.indexOf('\n') + 1
    expect(answer.subarray(0, header).toString()).toMatch(/^OK \d+\n$/)
    expect(answer.subarray(header).equals(bytes)).toBe(true)
    await guest.wait('over 0\n')
    expect((await guest.ended).status).toBe(0)
  } finally {
    server.close()
  }
})

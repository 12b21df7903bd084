/** Files that Debian's kernel has open in a shared folder, while guest and host do to them what they like. Needs riscv64-linux-gnu-gcc. */
import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { inGuest, scratch } from './support.ts'

/** What the host does to a file of 100000 bytes that a guest has open, and what a guest that caches nothing then sees. */
const changes: Readonly<Record<string, { readonly host: (path: string) => void, readonly open: string, readonly anew: string }>> = {
  longer: { host: (path) => { replace(path, 177_777) }, open: '100000 bytes, read 100000', anew: '177777' },
  shorter: { host: (path) => { replace(path, 10) }, open: '100000 bytes, read 100000', anew: '10' },
  removed: { host: rmSync, open: '100000 bytes, read 100000', anew: '-1 No such file or directory' },
  cut: { host: (path) => { truncateSync(path, 12_345) }, open: '12345 bytes, read 12345', anew: '12345' },
  emptied: { host: (path) => { truncateSync(path) }, open: '4 bytes, read 0', anew: '4' },
  grown: { host: (path) => { appendFileSync(path, Buffer.alloc(50_000, 'g')) }, open: '150000 bytes, read 150000', anew: '150000' },
}

function replace(path: string, size: number): void {
  writeFileSync(`${path}.new`, Buffer.alloc(size, 'r'))
  renameSync(`${path}.new`, path)
}

it.each(['none', 'mmap', 'loose'])('a guest does to open files what it likes, and survives what the host does to them (cache=%s)', async (cache) => {
  const folder = scratch()
  const source = fileURLToPath(new URL('guest-programs/open-files.c', import.meta.url))
  execFileSync('riscv64-linux-gnu-gcc', ['-O1', '-static', '-o', join(folder, 'open-files'), source])
  const names = Object.keys(changes)
  for (const name of names) writeFileSync(join(folder, name), Buffer.alloc(100_000, name))
  const timer = setInterval(() => {
    for (const [name, { host }] of Object.entries(changes)) {
      if (!existsSync(join(folder, `held-${name}`))) continue
      rmSync(join(folder, `held-${name}`))
      host(join(folder, name))
      writeFileSync(join(folder, `done-${name}`), '')
    }
  }, 20)
  try {
    const { status, stdout } = await inGuest(
      `mount -t 9p -o msize=512000,cache=${cache} share /mnt; cp /mnt/open-files /; cd /mnt; mkdir w; cd w; /open-files; cd ..; for name in ${names.join(' ')}; do /open-files $name & done; wait; echo over`,
      ['--share', folder])
    const lines = stdout.toString().trimEnd().split('\n')
    expect({ status, operations: lines.slice(0, 5) }).toEqual({
      status: 0, operations: ["unlinked 4 400 7 0 'cont'", "read-only 4 400 7 1 'cont'", "nothing 4 400 7 1 'cont'", "both 4 400 7 0 'cont'", 'd 700'],
    })
    const seen = lines.slice(5).map((line) => line.replace(/, began with .*| +$/, '')).sort()
    expect(seen).toHaveLength(2 * names.length + 1)
    if (cache === 'none') expect(seen).toEqual(['over', ...Object.entries(changes).flatMap(([name, { open, anew }]) => [`${name}: ${open}`, `${name} anew: ${anew}`])].sort())
    expect(seen).toContain('shorter: 100000 bytes, read 100000')
  } finally {
    clearInterval(timer)
  }
})

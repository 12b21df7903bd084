import { type ChildProcessByStdio, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { afterAll } from 'vitest'

const started: ChildProcessByStdio<Writable, Readable, null>[] = []
afterAll(() => { for (const child of started) child.kill() })

/** Hardware with the H extension, in QEMU: its console is the process's input and output, and Ctrl-A its own. It ends with the tests of the file, at the latest. */
export function hardware(image: string, ...options: readonly string[]): ChildProcessByStdio<Writable, Readable, null> {
  const qemu = spawn('qemu-system-riscv64', ['-machine', 'virt', '-cpu', 'rv64,h=true', '-m', '1G', '-nographic', '-echr', '0x1d', '-bios', 'default', '-kernel', image, '-global', 'virtio-mmio.force-legacy=false', ...options],
    { stdio: ['pipe', 'pipe', 'inherit'] })
  qemu.stdout.setEncoding('utf8')
  started.push(qemu)
  return qemu
}

/** Says something each time that the console shows what it waits for; gives all that it showed, once the hardware is off. */
export function talk(qemu: ChildProcessByStdio<Writable, Readable, null>, words: readonly (readonly [wait: string | RegExp, say: string])[]): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    let from = 0
    let next = 0
    qemu.stdout.on('data', (piece: string) => {
      text += piece
      const [wait, say] = words[next] ?? []
      if (wait === undefined || say === undefined || text.slice(from).search(wait) < 0) return
      next++
      from = text.length
      qemu.stdin.write(say)
    })
    qemu.on('error', reject)
    qemu.on('exit', () => { resolve(text) })
  })
}

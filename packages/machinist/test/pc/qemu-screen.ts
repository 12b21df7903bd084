import { spawn } from 'node:child_process'

const CELLS = 2000
const POLL = 500

/** The cells of a screen of text that QEMU's PC shows with the same firmware and disk, once one of its rows has `until`; null when there is no QEMU. */
export async function qemuScreen(bios: string, disk: string, until: string): Promise<number[] | null> {
  const qemu = spawn('qemu-system-x86_64', ['-M', 'pc', '-accel', 'tcg', '-m', '256', '-bios', bios, '-nodefaults', '-vga', 'std', '-display', 'none', '-drive', `file=${disk},format=raw,if=virtio`, '-monitor', 'stdio'])
  let text = ''
  qemu.stdout.on('data', (data: Buffer) => { text += data.toString() })
  const ended = new Promise<void>((resolve) => {
    qemu.on('error', () => { resolve() })
    qemu.on('exit', () => { resolve() })
  })
  qemu.stdin.on('error', () => undefined)
  let over = false
  void ended.then(() => { over = true })
  for (;;) {
    text = ''
    qemu.stdin.write(`xp /${CELLS}hx 0xb8000\n`)
    await new Promise((resolve) => { setTimeout(resolve, POLL) })
    if (over) return null
    const cells = [...text.matchAll(/^[0-9a-f]+: (.*)$/gm)].flatMap(([, words = '']) => words.trim().split(/\s+/).map(Number))
    if (cells.length < CELLS || !String.fromCharCode(...cells.map((cell) => cell & 0xff)).includes(until)) continue
    qemu.stdin.write('quit\n')
    await ended
    return cells
  }
}

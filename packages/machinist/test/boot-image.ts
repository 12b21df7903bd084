import { spawn } from 'node:child_process'

/** For tests: starts an image in QEMU under OpenSBI, and gives what it prints, from the end of the firmware's own text until it switches off or a line is seen. */
export function bootImage(image: string, options: { readonly machine?: string; readonly harts?: number; readonly memory?: string; readonly until?: RegExp; readonly bios?: string; readonly more?: readonly string[] } = {}): Promise<string> {
  const { machine = 'virt', harts = 1, memory = '512M', until, bios = 'default', more = [] } = options
  const child = spawn('qemu-system-riscv64', ['-machine', machine, '-cpu', 'rv64,h=true', '-smp', String(harts), '-m', memory, '-nographic', '-bios', bios, '-kernel', image, ...more], { stdio: ['ignore', 'pipe', 'inherit'] })
  return new Promise((resolve, reject) => {
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8')
      if (until?.test(text) === true) child.kill('SIGKILL')
    })
    child.on('error', reject)
    child.on('close', () => { resolve(text.replace(/^[^]*Boot HART MEDELEG[^\n]*\n/, '').replaceAll('\r', '').trimStart()) })
  })
}

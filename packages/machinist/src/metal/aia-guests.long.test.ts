import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildImage } from '@machinist/host-metal/build'
import { afterAll, expect, it } from 'vitest'
import { fleetOf } from '../fleet/file/fleet.ts'
import { guestCommandLine, prepareGuest } from '../guest/index.ts'
import { prepareEngine } from './engine.ts'
import { imageFiles } from './plan.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'machinist-metal-aia-'))
afterAll(() => { rmSync(folder, { recursive: true }) })
const PROMPT = 'machinist:~# '

it('a Debian guest of two harts with AIA has its interrupts, and IPIs, by guest interrupt files of the hardware', async () => {
  const { kernel, initrd } = await prepareGuest()
  const guest = { kernel, initrd, append: guestCommandLine({ console: 'ttyS0', quiet: true }), memory: '192M', harts: 2, interrupts: 'aia', virtio: 'pci' }
  const files = imageFiles(await fleetOf({ machines: { guest1: guest } }, join(root, 'machines.json')))
  const image = await buildImage({ engine: await prepareEngine(), program: join(root, 'packages/machinist/src/metal/program.ts'), root, files, output: join(folder, 'image') })
  const child = spawn('qemu-system-riscv64', ['-machine', 'virt,aia=aplic-imsic,aia-guests=1', '-cpu', 'rv64,h=true', '-smp', '2', '-m', '512M', '-nographic', '-echr', '0x1d', '-bios', 'default', '-kernel', image.path], { stdio: ['pipe', 'pipe', 'inherit'] })
  let text = ''
  const seen = (what: string): Promise<void> => new Promise((resolve, reject) => {
    const look = (): void => {
      if (!text.includes(what)) return
      text = text.slice(text.indexOf(what) + what.length)
      child.stdout.off('data', look)
      resolve()
    }
    child.stdout.on('data', look)
    child.on('close', () => { reject(new Error(`the end came: ${text}`)) })
    look()
  })
  child.stdout.on('data', (chunk: Buffer) => { text += chunk.toString().replaceAll('\r', '') })
  try {
    await seen(PROMPT)
    child.stdin.write('cat /proc/interrupts; head -c 10000 /dev/hwrng | wc -c; echo the"" end\n')
    let shown = ''
    child.stdout.on('data', (chunk: Buffer) => { shown += chunk.toString().replaceAll('\r', '') })
    await seen('the end')
    expect(shown).toMatch(/: +(?:[1-9]\d* +\d+|0 +[1-9]\d*) +APLIC-MSI-d000000.* ttyS0\n/)
    expect(shown).toMatch(/: +(?:[1-9]\d* +\d+|0 +[1-9]\d*) +PCI-MSIX.* virtio1-input\n/)
    expect(shown).toMatch(/IPI0: +[1-9]\d* +[1-9]\d* +Rescheduling interrupts/)
    expect(shown).toContain('\n10000\n')
  } finally {
    child.kill('SIGKILL')
  }
})

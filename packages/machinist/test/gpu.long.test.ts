/** Debian's kernel draws on a virtio GPU: its console, what is written to /dev/fb0, and what a program draws. Needs riscv64-linux-gnu-gcc. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { concatInitrds, cpio } from '@machinist/boot'
import { virt } from '@machinist/boards'
import { memoryDisplay, type Picture, type Screen } from '@machinist/display'
import { nodeHost, readWhole, stream } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { virtioGpu, virtioGpuPci } from '@machinist/virtio'
import { expect, it, onTestFinished } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'
import { mediaModules } from './media-modules.ts'

it.each([['mmio', 'split'], ['pci', 'packed']] as const)('shows the console of the kernel, what is written to /dev/fb0, a picture with a cursor, and takes the size that the host asks for: %s, %s rings', async (virtio, ring) => {
  const guest = await prepareGuest({ modules: mediaModules })
  const folder = mkdtempSync(join(tmpdir(), 'machinist-gpu-'))
  onTestFinished(() => { rmSync(folder, { recursive: true }) })
  const program = join(folder, 'draw')
  execFileSync('riscv64-linux-gnu-gcc', ['-O1', '-static', '-o', program, fileURLToPath(new URL('guest-programs/draw.c', import.meta.url))])
  // 640 by 480 pixels of 4 bytes: 480 rows of 2560. Each step leaves what it drew for a while.
  const request = execRequest([
    'cut -c 35 /sys/bus/virtio/drivers/virtio_gpu/virtio*/features; cat /sys/class/graphics/fb0/virtual_size; head -1 /sys/class/drm/card0-Virtual-1/modes; wc -c </sys/class/drm/card0-Virtual-1/edid',
    'echo 0 >/sys/class/graphics/fbcon/cursor_blink; echo "hello, screen" >/dev/tty0; sleep 0.5; echo console; sleep 0.5',
    `printf '\\020\\040\\060\\0' >/tmp/1; for i in 1 2 3 4 5 6 7 8 9 10 11; do cat /tmp/1 /tmp/1 >/tmp/2; mv /tmp/2 /tmp/1; done`,
    'for i in $(seq 150); do cat /tmp/1; done | dd of=/dev/fb0 bs=8192 2>/dev/null; sleep 0.5; echo pixels; sleep 0.5',
    'sleep 1 | draw',
    // The kernel's own frame buffer cannot grow.
    'echo resize; for try in $(seq 300); do head -1 /sys/class/drm/card0-Virtual-1/modes | grep 512x384 && break; sleep 0.1; done; sleep 0.5; echo resized; sleep 0.5',
  ].join('\n'))
  const display = memoryDisplay({ screens: [{ width: 640, height: 480 }] })
  const seen: Record<string, Screen> = {}
  let [out, err] = ['', '']
  const output = request.output({
    stdout(bytes) {
      out += Buffer.from(bytes).toString()
      for (const step of ['console', 'pixels', 'drawn', 'resized']) {
        const [screen] = display.screens
        if (!out.includes(step) || step in seen || screen === undefined) continue
        const { picture, cursor, text, updates } = screen
        seen[step] = { picture: picture?.part({ x: 0, y: 0, width: picture.width, height: picture.height }) ?? null, cursor, text, updates }
      }
      if (out.endsWith('resize\n')) display.resize(0, { width: 512, height: 384 })
    },
    stderr: (bytes) => { err += Buffer.from(bytes).toString() },
    exit() {},
  })
  const device = { config: { ring }, backends: { display } }
  const machine = createMachine(virt({
    kernel: readWhole(guest.kernel, 'kernel'),
    initrd: concatInitrds([readWhole(guest.initrd, 'initrd'), cpio().file('bin/draw', readWhole(program, 'draw'), 0o755).toBytes(), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }), console: stream({ output: (bytes) => { output.push(bytes) } }),
    // However busy the host is, a picture stays as long as the guest works.
    time: { instructionsPerSecond: 200_000_000 },
    virtio, devices: { gpu: virtio === 'pci' ? part(virtioGpuPci, device) : part(virtioGpu, device) },
  }), nodeHost())
  machine.start()
  const { error } = await machine.finished()
  machine.dispose()
  expect({ error, status: output.status, err }).toEqual({ error: null, status: 0, err: '' })
  expect(out.split('\n')).toEqual([ring === 'packed' ? '1' : '0', '640,480', '640x480', '128', 'console', 'pixels', 'drawn 640x480', 'resize', '512x384', 'resized', ''])
  const colours = (picture: Picture | null | undefined): number[] => picture === null || picture === undefined ? [] : [...new Set(new Uint32Array(picture.rgba.buffer))]
  // Text: black and grey. Then blue 0x10, green 0x20, red 0x30 all over: RGBA read as a little-endian number.
  expect(seen['console']?.picture).toMatchObject({ width: 640, height: 480 })
  expect(colours(seen['console']?.picture)).toEqual(expect.arrayContaining([0xff00_0000, 0xffaa_aaaa]))
  expect(colours(seen['pixels']?.picture)).toEqual([0xff10_2030])
  const { picture, cursor } = seen['drawn'] ?? {}
  const pattern = (width: number, height: number, alpha: number): Uint8Array =>
    Uint8Array.from({ length: 4 * width * height }, (_, index) => [index / 4 % width + Math.floor(index / 4 / width), Math.floor(index / 4 / width), Math.floor(index / 4) % width, alpha][index % 4] ?? 0)
  expect(Buffer.compare(picture?.rgba ?? new Uint8Array(0), pattern(640, 480, 255))).toBe(0)
  expect(cursor).toMatchObject({ x: 100, y: 50, hotX: 3, hotY: 5 })
  expect(Buffer.compare(cursor?.picture?.rgba ?? new Uint8Array(0), pattern(64, 64, 128))).toBe(0)
  expect(seen['resized']?.picture).toMatchObject({ width: 512, height: 384 })
})

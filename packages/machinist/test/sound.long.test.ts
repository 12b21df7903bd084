/** Debian's kernel plays and records sound on a virtio sound device. Needs riscv64-linux-gnu-gcc. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { concatInitrds, cpio } from '@machinist/boot'
import { virt } from '@machinist/boards'
import { memoryAudio } from '@machinist/display'
import { nodeHost, readWhole, stream } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { virtioSound, virtioSoundPci } from '@machinist/virtio'
import { expect, it, onTestFinished } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'
import { mediaModules } from './media-modules.ts'

/** Whole periods of the program. */
const PLAYED = 3 * 8192
const RECORDED = 20_000

it.each([['mmio', 'split'], ['pci', 'packed']] as const)('every sample that is played arrives, and every one that is recorded: %s, %s rings', async (virtio, ring) => {
  const guest = await prepareGuest({ modules: mediaModules })
  const folder = mkdtempSync(join(tmpdir(), 'machinist-sound-'))
  onTestFinished(() => { rmSync(folder, { recursive: true }) })
  const program = join(folder, 'sound')
  execFileSync('riscv64-linux-gnu-gcc', ['-O1', '-static', '-o', program, fileURLToPath(new URL('guest-programs/sound.c', import.meta.url))])
  const request = execRequest(`cut -c 35 /sys/bus/virtio/drivers/virtio_snd/virtio*/features >&2; cat /proc/asound/card0/pcm0p/info /proc/asound/card0/pcm0c/info >/dev/null; sound play ${PLAYED} && sound play ${PLAYED} && sound record ${RECORDED}`)
  let heard = 0
  const audio = memoryAudio({ microphone: (into) => { for (let index = 0; index < into.length; index++) into[index] = heard++ % 251 } })
  const out: Uint8Array[] = []
  let err = ''
  const output = request.output({ stdout: (bytes) => { out.push(bytes.slice()) }, stderr: (bytes) => { err += Buffer.from(bytes).toString() }, exit() {} })
  const device = { config: { ring }, backends: { audio } }
  const machine = createMachine(virt({
    kernel: readWhole(guest.kernel, 'kernel'),
    initrd: concatInitrds([readWhole(guest.initrd, 'initrd'), cpio().file('bin/sound', readWhole(program, 'sound'), 0o755).toBytes(), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }), console: stream({ output: (bytes) => { output.push(bytes) } }),
    // However busy the host is, the guest is in time.
    time: { instructionsPerSecond: 200_000_000 },
    virtio, devices: { sound: virtio === 'pci' ? part(virtioSoundPci, device) : part(virtioSound, device) },
  }), nodeHost())
  machine.start()
  const { error } = await machine.finished()
  machine.dispose()
  expect({ error, status: output.status, err }).toEqual({ error: null, status: 0, err: ring === 'packed' ? '1\n' : '0\n' })
  const ramp = new Int16Array(2 * PLAYED).map((_, index) => (index >> 1) * (index % 2 === 0 ? 37 : -37))
  expect(audio.recordings.map(({ sample, channels, rate }) => ({ sample, channels, rate }))).toEqual(new Array(2).fill({ sample: 's16', channels: 2, rate: 48000 }))
  for (const recording of audio.recordings) expect(Buffer.compare(recording.bytes(), new Uint8Array(ramp.buffer))).toBe(0)
  expect(Buffer.compare(Buffer.concat(out), Uint8Array.from({ length: 4 * RECORDED }, (_, index) => index % 251))).toBe(0)
})

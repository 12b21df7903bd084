/** A keyboard and a tablet that Debian's kernel reads, and a light that it turns on. */
import { concatInitrds } from '@machinist/boot'
import { virt } from '@machinist/boards'
import { inputSource } from '@machinist/display'
import { collector, nodeHost, readWhole, stream } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { virtioInput, virtioInputPci } from '@machinist/virtio'
import { expect, it } from 'vitest'
import { execRequest, guestCommandLine, prepareGuest } from '../src/guest/index.ts'
import { mediaModules } from './media-modules.ts'

it.each([['mmio', 'split'], ['pci', 'packed']] as const)('keys and a pointer arrive in /dev/input, and the guest turns on a light: %s, %s rings', async (virtio, ring) => {
  const guest = await prepareGuest({ modules: mediaModules })
  // An event is 24 bytes: the time, type, code, value. It is written whole: type 17 (LED), code 1 (caps lock), value 1.
  const request = execRequest([
    'event() { for device in /sys/class/input/event*; do [ "$(cat $device/device/name)" = "Machinist $1" ] && echo /dev/input/${device##*/}; done; }',
    'keyboard=$(event keyboard); tablet=$(event tablet); cat /sys/class/input/${keyboard##*/}/device/uniq',
    'cut -c 35 /sys/bus/virtio/drivers/virtio_input/virtio*/features',
    'show() { dd bs=24 count=$1 2>/dev/null | hexdump -v -e \'12/2 "%u " "\\n"\'; }',
    // The kernel keeps events from when somebody has opened the device.
    'exec 3<$keyboard 4<$tablet; echo ready; show 12 <&3; show 3 <&4',
    `printf '${'\\0'.repeat(16)}\\021\\0\\001\\0\\001\\0\\0\\0' >$keyboard`,
  ].join('\n'))
  const [keyboard, tablet] = [inputSource(), inputSource()]
  const tail = collector(4096)
  let [out, err] = ['', '']
  let typed = false
  const output = request.output({
    stdout(bytes) {
      out += Buffer.from(bytes).toString()
      if (typed || !out.includes('ready')) return
      typed = true
      keyboard.type('Hi')
      tablet.move(0.5, 1)
    },
    stderr: (bytes) => { err += Buffer.from(bytes).toString() },
    exit() {},
  })
  const spec = virtio === 'pci' ? virtioInputPci : virtioInput
  const machine = createMachine(virt({
    powerButton: false,
    kernel: readWhole(guest.kernel, 'kernel'), initrd: concatInitrds([readWhole(guest.initrd, 'initrd'), request.initrd]),
    append: guestCommandLine({ console: 'ttyS0', quiet: true }), console: stream({ output: (bytes) => { output.push(bytes) } }),
    devices: {
      keyboard: part(spec, { config: { ring, model: 'keyboard', serial: 'K-1' }, backends: { input: keyboard } }),
      tablet: part(spec, { config: { ring, model: 'tablet' }, backends: { input: tablet } }),
    },
  }), nodeHost())
  machine.start()
  const { error } = await machine.finished()
  machine.dispose()
  expect({ error, status: output.status, err: err + tail.text() }).toEqual({ error: null, status: 0, err: '' })
  // Behind 8 halves of the time: type, code and both halves of the value.
  expect(out.split('\n').map((line) => line.trim().split(' ').slice(-4, -1).join(' ') || line)).toEqual([
    'K-1', ...new Array<string>(2).fill(ring === 'packed' ? '1' : '0'), 'ready',
    // H with shift, then i; each event with its SYN_REPORT.
    ...['1 42 1', '1 35 1', '1 35 0', '1 42 0', '1 23 1', '1 23 0'].flatMap((event) => [event, '0 0 0']),
    '3 0 16384', '3 1 32767', '0 0 0', ''])
  expect([...keyboard.lights]).toEqual([1])
})

import { virt } from '@machinist/boards'
import { concatInitrds } from '@machinist/boot'
import { collector, nodeHost, readWhole } from '@machinist/host-node'
import { createMachine, part } from '@machinist/machine'
import { execRequest, prepareGuest } from '@machinist/machinist'
import { expect, test } from 'vitest'
import { virtioCrypto } from './crypto.ts'

test("Debian's driver finds it, and the kernel's own tests of ciphers pass on it", async () => {
  const guest = await prepareGuest({ modules: ['virtio_crypto'] })
  const console = collector()
  const exec = execRequest(`grep -A 5 'virtio_crypto_aes_cbc' /proc/crypto; dmesg | grep 'alg:'; grep . /sys/bus/virtio/devices/*/device`)
  const machine = createMachine(virt({
    console, devices: { crypto: part(virtioCrypto) }, append: 'console=ttyS0',
    kernel: readWhole(guest.kernel), initrd: concatInitrds([readWhole(guest.initrd), exec.initrd]),
  }), nodeHost())
  machine.start()
  expect(await machine.finished()).toEqual({ status: 0, error: null })
  expect(console.text()).toMatch(/module +: virtio_crypto[^]*selftest +: passed/)
  expect(console.text()).toContain('0x0014')
  expect(console.text()).not.toContain('failed')
  machine.dispose()
})

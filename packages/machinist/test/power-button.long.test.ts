/** Guests that are asked to switch themselves off: ours, by busybox's acpid, and Debian, by systemd-logind. */
import { readFileSync } from 'node:fs'
import { virt, type VirtOptions } from '@machinist/boards'
import { nodeHost, openDiskImage, stream } from '@machinist/host-node'
import { createMachine } from '@machinist/machine'
import { imageDisk, overlay } from '@machinist/storage'
import { describe, expect, it } from 'vitest'
import { bootImage, diskCommandLine } from '../src/debian/index.ts'
import { baseSystem } from '../src/debian/system.ts'
import { ownHypervisor } from '../src/daemon/own-hypervisor.ts'
import { guestCommandLine, prepareGuest } from '../src/index.ts'

/** Runs a machine until it says something, presses its power button, and waits for its end. */
async function pressed(options: VirtOptions, ready: RegExp): Promise<{ readonly said: string; readonly status: number; readonly by: string }> {
  let text = ''
  let at = -1
  const console = stream({
    output(bytes) {
      text += Buffer.from(bytes).toString('latin1')
      if (at >= 0 || !ready.test(text)) return
      at = text.length
      // Whoever looks at it may be about to begin.
      const press = (): void => { if (machine.state === 'running') setTimeout(press, machine.pressPowerButton() ? 1000 : 0) }
      setTimeout(press)
    },
  })
  const machine = createMachine(virt({ ...options, console }), nodeHost())
  let by = ''
  machine.on('power', (event) => { by = event.by })
  try {
    expect(machine.pressPowerButton()).toBe(false)
    machine.start()
    const { status, error } = await machine.finished()
    expect(error).toBeNull()
    expect(machine.pressPowerButton()).toBe(false)
    return { said: text.slice(at), status, by }
  } finally {
    machine.dispose()
  }
}

describe('a guest whose power button is pressed switches itself off', () => {
  it.each(['mmio', 'pci'] as const)('ours, by acpid: %s', async (virtio) => {
    const { kernel, initrd } = await prepareGuest()
    const { status, by, said } = await pressed({ virtio, kernel: readFileSync(kernel), initrd: readFileSync(initrd), append: guestCommandLine({ console: 'ttyS0' }) }, /# /)
    expect({ status, by }).toEqual({ status: 0, by: 'guest' })
    expect(said).toMatch(/system is going down[^]*Requesting system poweroff/)
  })

  it('Debian, by systemd-logind', async () => {
    const { disk } = await baseSystem(await prepareGuest(), { architecture: 'riscv64', packages: [] })
    const image = await openDiskImage(disk, { writable: false })
    const { kernel, initrd, root } = await bootImage(image, disk)
    const { status, by, said } = await pressed({
      memory: 2 ** 30, kernel, ...(initrd !== null && { initrd }), disks: [overlay(imageDisk(image))], append: diskCommandLine(root, { quiet: false }),
    }, /login: /)
    expect({ status, by }).toEqual({ status: 0, by: 'guest' })
    expect(said).toMatch(/Reached target[^]*poweroff.target/)
  }, 40 * 60_000)

  it('under a hypervisor, which is told which of the two it was', async () => {
    const { kernel, initrd } = await prepareGuest()
    const hypervisor = ownHypervisor()
    try {
      const machine = virt({ console: 'console', kernel: readFileSync(kernel), initrd: readFileSync(initrd), append: guestCommandLine({ console: 'ttyS0', quiet: true }) }).definition
      await hypervisor.add({ name: 'guest', machine, restart: 'always' })
      await hypervisor.start('guest')
      // It has not begun to look at the button.
      await hypervisor.stop('guest', 600_000)
      await hypervisor.start('guest')
      await hypervisor.stop('guest', 1)
      expect((await hypervisor.events('guest')).filter(({ kind }) => kind === 'off').map(({ text }) => text)).toEqual([
        'its guest switched it off with status 0, as its power button was pressed', 'its plug was pulled, as its guest did not switch it off within 0.001 s',
      ])
      expect((await hypervisor.machines())[0]?.state).toBe('off')
    } finally {
      hypervisor.close()
    }
  })
})

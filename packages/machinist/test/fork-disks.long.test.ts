/** Machines with disks that are copied while their guests write: each has a sound file system with its own files, and random numbers of its own. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Backend, BlockPort } from '@machinist/api'
import { virt } from '@machinist/boards'
import { type Collector, collector, nodeHost, openDisk } from '@machinist/host-node'
import { createMachine, type Machine, part } from '@machinist/machine'
import { memoryDisk } from '@machinist/storage'
import { virtioPmem } from '@machinist/virtio'
import { afterAll, expect, it } from 'vitest'
import { guestCommandLine, prepareGuest } from '../src/index.ts'
import { ask } from './ask.ts'

const MIB = 2 ** 20
const folder = mkdtempSync(join(tmpdir(), 'machinist-fork-'))
afterAll(() => { rmSync(folder, { recursive: true }) })

/** A disk that remembers the copies that were made of it. */
interface Remembered extends Backend<BlockPort> {
  readonly copies: Remembered[]
  fork(): Remembered
}

function remembered(disk: Backend<BlockPort>): Remembered {
  const copies: Remembered[] = []
  return {
    kind: disk.kind,
    copies,
    connect: (deliver, clock) => disk.connect(deliver, clock),
    close: () => disk.close?.(),
    fork() {
      const copy = disk.fork?.()
      if (copy === undefined) throw new Error('it cannot be copied')
      const made = remembered(copy)
      copies.push(made)
      return made
    },
  }
}

/** All that a disk has now. */
async function content(disk: Backend<BlockPort>): Promise<Uint8Array> {
  const copy = disk.fork?.()
  if (copy === undefined) throw new Error('it cannot be copied')
  const port = copy.connect((callback) => { callback() })
  const bytes = new Uint8Array(port.size)
  expect(await new Promise((resolve) => { port.read(0, [bytes], resolve) })).toBe('ok')
  copy.close?.()
  return bytes
}

interface Side {
  readonly name: string
  readonly machine: Machine
  readonly console: Collector
  readonly disk: Remembered
  readonly pmem: Remembered
}

const forks = async (machine: Machine, console: Collector): Promise<string> => ask(machine, console, "dmesg | grep -c 'reseeded due to virtual machine fork'")

it.each(['plic', 'aia'] as const)('copies of a guest that writes to its disk, with %s', async (interrupts) => {
  const image = join(folder, `disk-${interrupts}.img`)
  writeFileSync(image, '')
  truncateSync(image, 64 * MIB)
  execFileSync('mkfs.ext4', ['-q', '-F', image])
  const disk = remembered(await openDisk(image))
  const pmem = remembered(memoryDisk(2 * MIB))
  const { kernel, initrd } = await prepareGuest({ modules: ['virtio_pmem', 'nd_pmem'] })
  const console = collector()
  const parent = createMachine(virt({
    console, interrupts, disks: [disk], kernel: readFileSync(kernel), initrd: readFileSync(initrd), append: guestCommandLine({ console: 'ttyS0', quiet: true }),
    devices: { pmem: part(virtioPmem, { config: { size: 2 * MIB }, backends: { disk: pmem } }) },
  }), nodeHost())
  parent.start()
  while (!console.text().includes('# ')) await new Promise((resolve) => { setTimeout(resolve, 20) })
  console.type("stty -echo; PS1=''; echo re''ady\n")
  while (!console.text().includes('ready')) await new Promise((resolve) => { setTimeout(resolve, 20) })
  expect(await ask(parent, console, 'modprobe virtio_pmem; modprobe nd_pmem; mount /dev/vda /mnt && echo parent >/mnt/first && echo first | dd of=/dev/pmem0 conv=fsync 2>/dev/null; echo $?')).toBe('0')
  await ask(parent, console, '{ (while [ ! -e /tmp/stop ]; do dd if=/dev/urandom of=/mnt/busy bs=16k count=40 conv=fsync 2>/dev/null; sha256sum </mnt/busy >/mnt/sum; rm /mnt/busy /mnt/sum; done; touch /tmp/stopped) & }')
  const sides: Side[] = [{ name: 'parent', machine: parent, console, disk, pmem }]
  const forkOf = async (from: Side, name: string): Promise<Side> => {
    const own = collector()
    const machine = await from.machine.fork({ backends: { 'uart0.console': own } })
    const [newDisk, newPmem] = [from.disk.copies.at(-1), from.pmem.copies.at(-1)]
    if (newDisk === undefined || newPmem === undefined) throw new Error('no disk')
    const side = { name, machine, console: own, disk: newDisk, pmem: newPmem }
    sides.push(side)
    return side
  }
  // At odd moments: the disk is busy all the time.
  for (let copy = 1; copy <= 3; copy++) {
    await new Promise((resolve) => { setTimeout(resolve, 150 * copy) })
    const [from] = sides
    if (from !== undefined) await forkOf(from, `copy${copy}`)
  }
  const [, first] = sides
  if (first === undefined) throw new Error('no copy')
  await forkOf(first, 'grandchild')
  const random = new Set<string>()
  for (const { name, machine, console: own } of sides) {
    random.add(await ask(machine, own, 'dd if=/dev/urandom bs=16 count=1 2>/dev/null | hexdump'))
    expect([name, await forks(machine, own)]).toEqual([name, name === 'parent' ? '0' : name === 'grandchild' ? '2' : '1'])
    expect(await ask(machine, own, `echo ${name} >/mnt/who; seq 20000 | sed s/^/${name}/ >/mnt/much; echo ${name} | dd of=/dev/pmem0 bs=4096 seek=1 conv=fsync 2>/dev/null; echo $?`)).toBe('0')
  }
  expect(random.size).toBe(sides.length)
  for (const { machine, console: own } of sides) {
    expect(await ask(machine, own, 'touch /tmp/stop; while [ ! -e /tmp/stopped ]; do sleep 0.1; done; umount /mnt; echo $?')).toBe('0')
  }
  const check = (path: string, name: string): void => {
    execFileSync('e2fsck', ['-fn', path], { stdio: 'pipe' })
    const cat = (file: string): string => execFileSync('debugfs', ['-R', `cat /${file}`, path], { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 16 * MIB }).toString()
    expect([cat('first'), cat('who')]).toEqual(['parent\n', `${name}\n`])
    expect(cat('much')).toBe(Array.from({ length: 20000 }, (_, index) => `${name}${index + 1}\n`).join(''))
  }
  // The parent ends first.
  for (const { name, machine, disk: own, pmem: ownPmem } of sides) {
    const path = join(folder, `${name}.img`)
    writeFileSync(path, await content(own))
    check(path, name)
    const bytes = Buffer.from(await content(ownPmem))
    expect([bytes.subarray(0, 6).toString(), bytes.subarray(4096, 4097 + name.length).toString()]).toEqual(['first\n', `${name}\n`])
    machine.dispose()
  }
  // Its own is in the file, and nothing of the others.
  check(image, 'parent')
})

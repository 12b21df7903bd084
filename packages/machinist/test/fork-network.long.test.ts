/** Copies of a machine that meet on one switch: the kernel of each goes by the address that it read before there were two. */
import { virt } from '@machinist/boards'
import { type Collector, collector, nodeHost, readWhole } from '@machinist/host-node'
import { createMachine, type Machine } from '@machinist/machine'
import { Capture, type Switch, virtualSwitch } from '@machinist/network'
import { expect, it } from 'vitest'
import { guestCommandLine, prepareGuest } from '../src/guest/index.ts'
import { ask } from './ask.ts'

interface Guest {
  readonly machine: Machine
  readonly ask: (command: string) => Promise<string>
}

const told = (machine: Machine, console: Collector): Guest => ({ machine, ask: (command) => ask(machine, console, command) })

async function boot(lan: Switch): Promise<Guest> {
  const { kernel, initrd } = await prepareGuest()
  const console = collector()
  const machine = createMachine(virt({
    console, kernel: readWhole(kernel, 'kernel'), initrd: readWhole(initrd, 'initrd'), append: guestCommandLine({ console: 'ttyS0', quiet: true }),
    nets: [{ net: lan.port({ name: 'first' }), config: { mac: '02:00:00:00:00:01' } }],
  }), nodeHost())
  machine.start()
  while (!console.text().includes('# ')) await new Promise((resolve) => { setTimeout(resolve, 20) })
  console.type("stty -echo; PS1=''; echo re''ady\n")
  while (!console.text().includes('ready')) await new Promise((resolve) => { setTimeout(resolve, 20) })
  return told(machine, console)
}

async function copy({ machine }: Guest, lan: Switch, name: string, capture?: Capture): Promise<Guest> {
  const console = collector()
  return told(await machine.fork({ name, backends: { 'uart0.console': console, 'net0.net': lan.port({ name, ...(capture && { capture }) }) } }), console)
}

const pings = 'grep -o "[0-9]* packets received"'

it('copies of one guest, and the guest itself, talk to each other by IPv4 and IPv6, and one that looks anew learns its address', async () => {
  const lan = virtualSwitch()
  const first = await boot(lan)
  expect(await first.ask('ifconfig eth0 10.0.0.1; cat /sys/class/net/eth0/address')).toBe('02:00:00:00:00:01')
  const sources = new Set<string>()
  // Packet blocks of pcapng: the frame begins at byte 28.
  const capture = new Capture((bytes) => { if (bytes[0] === 6) sources.add(Buffer.from(bytes.subarray(34, 40)).toString('hex')) })
  const two = await copy(first, lan, 'two', capture)
  const three = await copy(first, lan, 'three')
  const four = await copy(two, lan, 'four')
  // The kernel knows nothing of it, so what is made of its address is the same in all.
  for (const [guest, last] of [[two, 2], [three, 3], [four, 4]] as const) {
    expect(await guest.ask(`ifconfig eth0 10.0.0.${last}; ip -6 addr flush dev eth0; ip addr add fd00::${last}/64 dev eth0; cat /sys/class/net/eth0/address`)).toBe('02:00:00:00:00:01')
  }
  const all = [[first, 1], [two, 2], [three, 3], [four, 4]] as const
  for (const [guest, own] of all) {
    for (const [, other] of all) {
      if (other === own) continue
      expect([own, other, await guest.ask(`for n in $(seq 50); do ping -c 1 -W 1 10.0.0.${other} >/dev/null && break; done; ping -c 2 -W 20 10.0.0.${other} | ${pings}`)]).toEqual([own, other, '2 packets received'])
    }
  }
  expect(await two.ask(`for n in $(seq 50); do ping -c 1 -W 1 fd00::3 >/dev/null && break; done; ping -c 2 -W 20 fd00::3 | ${pings}`)).toBe('2 packets received')
  // What is long is cut by the other's kernel, or by nobody.
  const receiving = three.ask('nc -l -p 5000 | sha256sum')
  const sum = await two.ask("seq 1 200000 >/tmp/data; for n in $(seq 100); do nc 10.0.0.3 5000 </tmp/data && break; sleep 0.1; done; sha256sum </tmp/data")
  expect(await receiving).toBe(sum)
  // Each knows the others by four addresses, and the machine's is one of them for itself alone.
  const known = async ({ ask }: Guest): Promise<string[]> => (await ask("ip neigh show dev eth0 | grep -o '10.0.*lladdr [0-9a-f:]*' | sort")).split('\n').map((line) => line.slice(-17))
  const [byFirst, byTwo] = [await known(first), await known(two)]
  expect([new Set(byFirst).size, new Set(byTwo).size, byFirst.includes('02:00:00:00:00:01'), byTwo.includes('02:00:00:00:00:01')]).toEqual([3, 3, false, false])
  expect(sources.has('020000000001')).toBe(true)
  // A driver that begins anew.
  expect(await two.ask(`cd /sys/bus/virtio/drivers/virtio_net && d=$(ls -d virtio*) && echo $d >unbind && echo $d >bind && cd / && ifconfig eth0 10.0.0.2 && cat /sys/class/net/eth0/address`)).toBe(byFirst[0])
  expect(await two.ask(`for n in $(seq 50); do ping -c 1 -W 1 10.0.0.1 >/dev/null && break; done; ping -c 2 -W 20 10.0.0.1 | ${pings}`)).toBe('2 packets received')
  for (const [{ machine }] of all) machine.dispose()
})

it('a copy that takes the place of the machine keeps its address', async () => {
  const lan = virtualSwitch()
  const first = await boot(lan)
  await first.ask('ifconfig eth0 10.0.0.1')
  const console = collector()
  const frames: string[] = []
  const capture = new Capture((bytes) => { if (bytes[0] === 6) frames.push(Buffer.from(bytes.subarray(34, 40)).toString('hex')) })
  const machine = await first.machine.fork({ keepAddresses: true, backends: { 'uart0.console': console, 'net0.net': lan.port({ name: 'second', capture }) } })
  first.machine.dispose()
  await ask(machine, console, 'ping -c 1 -W 1 10.0.0.9')
  expect(new Set(frames)).toEqual(new Set(['020000000001']))
  machine.dispose()
})

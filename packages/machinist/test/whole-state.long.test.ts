/** Machines that run Linux and are in the middle of everything when they are saved, or copied: what their backends had is there where they go on. */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { virt, virtCatalogue } from '@machinist/boards'
import { type Collector, collector, nodeHost, nodeSockets, openSnapshotFile, saveSnapshotFile, sharedFolder } from '@machinist/host-node'
import { createMachine, instantiateStored, type Machine, part } from '@machinist/machine'
import { nat } from '@machinist/network'
import { limited, memoryDisk, memoryStore, overlay } from '@machinist/storage'
import { virtio9p } from '@machinist/virtio'
import { afterAll, expect, it } from 'vitest'
import { guestCommandLine, prepareGuest } from '../src/index.ts'
import { ask } from './ask.ts'

const MIB = 2 ** 20
const folder = mkdtempSync(join(tmpdir(), 'machinist-whole-'))
const shared = join(folder, 'shared')
const sockets = new Set<Socket>()
/** Says what it hears, on every line in upper case. */
const server = createServer((socket) => {
  sockets.add(socket)
  socket.on('error', () => undefined)
  socket.on('data', (bytes) => { socket.write(bytes.toString().toUpperCase()) })
})
afterAll(() => {
  for (const socket of sockets) socket.destroy()
  server.close()
  rmSync(folder, { recursive: true })
})

const pattern = (): Uint8Array => Uint8Array.from({ length: 4 * MIB }, (_, index) => index % 253)

/** What a machine is connected to, made anew. */
function backends() {
  const { port } = server.address() as AddressInfo
  return {
    'uart0.console': collector(),
    'net0.net': nat(nodeSockets(), { service: [`tcp:10.0.2.100:80-127.0.0.1:${port}`] }),
    'disk0.disk': limited(overlay(memoryDisk(pattern(), { readOnly: true }), memoryStore({ clusterSize: 16384 })), { operationsPerSecond: 100_000 }),
    'share0.files': sharedFolder(shared),
  }
}

async function booted(): Promise<{ readonly machine: Machine; readonly console: Collector }> {
  mkdirSync(shared)
  for (const name of ['read', 'replaced']) writeFileSync(join(shared, name), 'first\nsecond\nthird\n')
  await new Promise<void>((done) => { server.listen(0, '127.0.0.1', done) })
  const { kernel, initrd } = await prepareGuest()
  const { 'uart0.console': console, 'net0.net': net, 'disk0.disk': disk, 'share0.files': files } = backends()
  const machine = createMachine(virt({
    console, nets: [net], disks: [disk], devices: { share0: part(virtio9p, { config: { tag: 'share' }, backends: { files } }) },
    kernel: new Uint8Array(readFileSync(kernel)), initrd: new Uint8Array(readFileSync(initrd)), append: guestCommandLine({ console: 'ttyS0', quiet: true }),
  }), nodeHost())
  machine.start()
  const until = async (text: string): Promise<void> => { while (!console.text().includes(text)) await new Promise((resolve) => { setTimeout(resolve, 20) }) }
  await until('# ')
  console.type("stty -echo; PS1=''; echo re''ady\n")
  await until('ready')
  return { machine, console }
}

it('connections, files, disks and input of a guest that is saved, and of one that is copied', async () => {
  const { machine, console } = await booted()
  const commands = [
    'mkdir -p /mnt && mount -t 9p -o trans=virtio,version=9p2000.L share /mnt',
    // Read through the device each time, and not from the kernel's memory.
    'exec 8</mnt/read 7>>/mnt/log 6</mnt/replaced; read a <&8; read b <&6; echo one >&7; echo $a $b',
    // It only listens, as long as it is not reset.
    'mkfifo /tmp/say; (nc 10.0.2.100 80 </tmp/say >/tmp/heard; echo over >>/tmp/heard) & exec 5>/tmp/say; echo hello >&5; until grep -q HELLO /tmp/heard; do usleep 50000; done',
    'dd if=/dev/urandom of=/dev/vda bs=4096 seek=100 count=300 conv=notrunc 2>/dev/null; dd if=/dev/zero of=/dev/vda bs=4096 seek=10 count=1 conv=notrunc 2>/dev/null; sync',
    'sha256sum </dev/vda >/tmp/sum; cat /tmp/sum',
  ]
  const said: string[] = []
  for (const command of commands) said.push(await ask(machine, console, command))
  expect(said[1]).toBe('first first')
  // Another file, of the same name and content.
  rmSync(join(shared, 'replaced'))
  writeFileSync(join(shared, 'replaced'), 'first\nsecond\nthird\n')
  machine.pause()
  console.type("echo typed >/tmp/ahead; echo he''ard\n")
  const path = join(folder, 'whole.snapshot')
  await saveSnapshotFile(machine, path)
  const stored = openSnapshotFile(path)
  const given = [backends(), backends()] as const
  const restored = instantiateStored(stored, virtCatalogue, nodeHost(), { backends: given[0] })
  stored.close()
  // What can copy itself does; the folder, the network and the console are given.
  const { 'disk0.disk': _disk, 'net0.net': _net, ...others } = given[1]
  const copy = await machine.fork({ backends: others })
  machine.resume()
  appendFileSync(join(shared, 'read'), 'fourth\n')
  for (const [each, { 'uart0.console': own }] of [[restored, given[0]], [copy, given[1]]] as const) {
    each.resume()
    while (!own.text().includes('heard')) await new Promise((resolve) => { setTimeout(resolve, 20) })
    expect(await ask(each, own, 'cat /tmp/ahead')).toBe('typed')
    // The connection is over, without a word of this guest.
    expect(await ask(each, own, 'i=0; until grep -q over /tmp/heard || [ $i = 6000 ]; do usleep 50000; i=$((i+1)); done; cat /tmp/heard')).toBe('HELLO\nover')
    expect(await ask(each, own, 'echo again | nc -w 60 10.0.2.100 80')).toBe('AGAIN')
    expect(await ask(each, own, 'read a <&8; read b <&8; echo $a $b; echo two >&7 && tail -n 1 /mnt/log')).toBe('second third\ntwo')
    expect(await ask(each, own, 'cat <&6 2>&1 | grep -ci stale; exec 6<&-; cat /mnt/replaced | wc -l')).toBe('1\n3')
    expect(await ask(each, own, 'echo 3 >/proc/sys/vm/drop_caches; sha256sum </dev/vda | cmp - /tmp/sum && echo same')).toBe('same')
    expect(await ask(each, own, 'dd if=/dev/urandom of=/dev/vda bs=4096 count=100 conv=notrunc 2>/dev/null; sync; echo written')).toBe('written')
    each.dispose()
  }
  // The first one never noticed.
  expect(await ask(machine, console, 'cat /tmp/ahead; echo still >&5; until grep -q STILL /tmp/heard; do usleep 50000; done; cat /tmp/heard')).toBe('typed\nHELLO\nSTILL')
  expect(await ask(machine, console, 'echo 3 >/proc/sys/vm/drop_caches; sha256sum </dev/vda | cmp - /tmp/sum && echo same; read a <&8; echo $a')).toBe('same\nsecond')
  machine.dispose()
  expect(readFileSync(join(shared, 'log'), 'utf8')).toBe('one\ntwo\ntwo\n')
})

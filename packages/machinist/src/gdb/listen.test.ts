import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { virt } from '@machinist/boards'
import { nodeHost } from '@machinist/host-node'
import { createMachine, type Machine } from '@machinist/machine'
import { afterAll, afterEach, expect, it } from 'vitest'
import { parseCommand } from '../arguments.ts'
import { type GdbAddress, type GdbListener, listenForGdb } from './listen.ts'
import { gdbTarget, parseGdb } from './option.ts'

const folder = mkdtempSync(join(tmpdir(), 'machinist-gdb-'))
const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})
afterAll(() => { rmSync(folder, { recursive: true, force: true }) })

/** A machine that jumps to where it is, for ever. */
async function door(address: GdbAddress): Promise<{ readonly machine: Machine; readonly listener: GdbListener }> {
  const machine = createMachine(virt({ firmware: Uint8Array.of(0x6f, 0, 0, 0, ...new Uint8Array(60)), console: 'null' }), nodeHost())
  const listener = await listenForGdb(machine, address)
  open.push({ close() {
    listener.close()
    machine.dispose()
  } })
  machine.start()
  return { machine, listener }
}

function call(address: GdbAddress): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = 'path' in address ? connect(address.path) : connect(address.port, address.host)
    socket.on('error', reject)
    socket.on('connect', () => { resolve(socket) })
  })
}

const heard = (socket: Socket): Promise<string> => new Promise((resolve) => {
  socket.once('data', (bytes) => { resolve(bytes.toString()) })
  socket.once('close', () => { resolve('closed') })
})

it('serves one debugger, turns a second one away, and lets the machine go when the first hangs up', async () => {
  const { machine, listener } = await door({ host: '127.0.0.1', port: 0 })
  const first = await call(listener.address)
  first.write('$?#3f')
  expect(await heard(first)).toMatch(/^\+/)
  expect(machine.state).toBe('paused')
  expect(await heard(await call(listener.address))).toBe('closed')
  const going = new Promise((resolve) => { machine.on('state', ({ to }) => { resolve(to) }) })
  first.destroy()
  expect(await going).toBe('running')
  const next = await call(listener.address)
  next.write('$?#3f')
  expect(await heard(next)).toMatch(/^\+/)
})

it('keeps a socket for its owner, and says when an address is taken', async () => {
  const path = join(folder, 'socket')
  const { machine } = await door({ path })
  expect(statSync(path).mode & 0o777).toBe(0o600)
  await expect(listenForGdb(machine, { path })).rejects.toMatchObject({ code: 'gdb-address', value: path })
  await expect(listenForGdb(machine, { host: '192.0.2.1', port: 1234 })).rejects.toMatchObject({ code: 'gdb-address', value: '192.0.2.1:1234' })
})

it('understands where to listen', () => {
  expect(['1234', '0.0.0.0:1', '[::1]:65535', './gdb', '/run/gdb'].map((text) => parseGdb(text))).toEqual([
    { host: '127.0.0.1', port: 1234 }, { host: '0.0.0.0', port: 1 }, { host: '::1', port: 65535 }, { path: './gdb' }, { path: '/run/gdb' },
  ])
  expect(gdbTarget(parseGdb('[::1]:5'))).toBe('[::1]:5')
  for (const bad of ['', 'gdb', '65536', '-1', '1234567', '::1:5', '[::1]', 'a:b', ':1234x']) expect(() => parseGdb(bad)).toThrow(/--gdb/)
  expect(() => parseCommand(['--gdb-wait'])).toThrow(/no debugger to wait for/)
  expect(parseCommand(['--gdb', '1234', '--gdb-wait'])).toMatchObject({ options: { gdb: { port: 1234 }, gdbWait: true } })
})

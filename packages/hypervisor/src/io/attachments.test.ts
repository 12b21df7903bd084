import type { Backend } from '@machinist/api'
import type { MachineHost } from '@machinist/machine'
import { expect, it } from 'vitest'
import { virtualLoop } from '../../test/virtual-loop.ts'
import { Attachments } from './attachments.ts'

const loop = virtualLoop()
const plain: MachineHost = { loop, linearMemory: () => { throw new Error('none') } }
const disk = (): Backend<unknown> => ({ kind: 'block', connect: () => ({}) })

it('knows whose each backend is: of machines, of copies made with the host of another, not of those that were never made', () => {
  const attachments = new Attachments<string>()
  let made = 0
  const hostOf = (name: string): MachineHost => attachments.host(name, plain, 'block', (backend, part) => ({ backend, item: `${name} ${part} ${String(made++)}` }))
  const attach = (host: MachineHost, ...parts: string[]): Backend<unknown>[] => parts.map((part) => host.attach?.(disk(), 'block', part) ?? disk())
  const one = hostOf('one')
  const two = hostOf('two')
  attach(one, 'a', 'b')
  attach(two, 'a')
  expect(attachments.claim('two')).toEqual(['two a 2'])
  expect(attachments.claim('one')).toEqual(['one a 0', 'one b 1'])
  // Two copies at once, and one that failed on its way.
  attach(one, 'a', 'b')
  for (const failed of attach(one, 'a')) void failed.close?.()
  attach(one, 'a', 'b')
  expect(attachments.claim('copy')).toEqual(['one a 3', 'one b 4'])
  expect(attachments.claim('other copy')).toEqual(['one a 6', 'one b 7'])
  expect(attachments.claim('third')).toEqual([])
  // A machine that is made anew under its name.
  attach(hostOf('two'), 'a')
  expect(attachments.claim('two')).toEqual(['two a 8'])
})

it.each([['closed', true], ['left open', false]])('knows what belongs to a machine whose start had failed before, with backends that were %s', (_how, closed) => {
  const attachments = new Attachments<string>()
  let made = 0
  const attach = (host: MachineHost, part: string): Backend<unknown> => host.attach?.(disk(), 'block', part) ?? disk()
  const hostOf = (name: string): MachineHost => attachments.host(name, plain, 'block', (backend, part) => ({ backend, item: `${name} ${part} ${String(made++)}` }))
  for (let failures = 0; failures < 2; failures++) {
    const failed = attach(hostOf('one'), 'a')
    if (closed) void failed.close?.()
  }
  // One that failed before it came to its backends.
  hostOf('one')
  const second = hostOf('one')
  attach(second, 'a')
  expect(attachments.claim('one')).toEqual(['one a 2'])
  // What was left open is nobody's: not that of a copy either.
  attach(second, 'a')
  expect(attachments.claim('copy')).toEqual(['one a 3'])
  expect(attachments.claim('other copy')).toEqual([])
})

it('gives a copy what is its own, where a start under its name had failed before', () => {
  const attachments = new Attachments<string>()
  const hostOf = (name: string): MachineHost => attachments.host(name, plain, 'block', (backend, part) => ({ backend, item: `${name} ${part}` }))
  const one = hostOf('one')
  one.attach?.(disk(), 'block', 'a')
  expect(attachments.claim('one')).toEqual(['one a'])
  void hostOf('copy').attach?.(disk(), 'block', 'b').close?.()
  one.attach?.(disk(), 'block', 'a')
  expect(attachments.claim('copy')).toEqual(['one a'])
})

it('leaves other kinds, and stands over what another stands over', () => {
  const attachments = new Attachments<string>()
  const below: MachineHost = { ...plain, attach: (backend) => ({ ...backend, kind: 'block', connect: () => 'below' }) }
  const host = attachments.host('one', below, 'block', (backend) => ({ backend: { kind: 'block', connect: (deliver) => ['above', backend.connect(deliver)] }, item: '' }))
  expect(host.attach?.(disk(), 'block', 'a').connect(() => undefined)).toEqual(['above', 'below'])
  expect(host.attach?.(disk(), 'net', 'b').connect(() => undefined)).toBe('below')
})

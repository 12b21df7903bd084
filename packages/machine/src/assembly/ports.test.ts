import { type CpuContext, type CpuSpec, type DeviceSpec, isMachinistError, type PortBus } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import type { GuestMemory } from '@machinist/memory'
import { expect, test } from 'vitest'
import { testHost } from '../../test/harness.ts'
import { createMachine, defineMachine, type DevicePart, part, printMachine, resolve } from '../index.ts'
import { fakeCpu } from '../testing/fake-cpu.ts'

/** The fake CPU with a port space: what it is given. */
function porting(): { readonly spec: typeof fakeCpu; context(): CpuContext<GuestMemory, AddressSpace> } {
  let given: CpuContext<GuestMemory, AddressSpace> | null = null
  const spec: typeof fakeCpu = {
    ...fakeCpu,
    portSpace: true,
    create(config, context) {
      given = context
      return fakeCpu.create(config, context)
    },
  }
  return { spec, context: () => given ?? expect.unreachable('no CPU was made') }
}

/** Ports that remember a byte each; an output that gives a vector, high while the first byte is not zero. */
function chip(port: number | undefined, vector: number): DeviceSpec<null, null, 'intr'> {
  const bytes = new Uint8Array(4)
  return {
    kind: `chip-${vector}`, stateVersion: 1, backends: {},
    configure: () => null,
    regions: () => [{ name: 'ports', size: 2, space: 'pio', ...(port !== undefined && { at: port }) }],
    irqs: () => ['intr'],
    defaultRoute: () => ({ to: 'cpu', line: 'hart0.meip', shared: true }),
    create: (_config, { irq }) => ({
      read: (_region, offset, width) => width === 2 ? (bytes[0] ?? 0) | (bytes[1] ?? 0) << 8 : bytes[offset] ?? 0,
      write(_region, offset, width, value) {
        bytes[offset] = value
        if (width === 2) bytes[1] = value >> 8
        irq.intr.set(bytes[0] !== 0)
      },
      acknowledge: (output) => output === 0 ? vector : 0,
      reset() {},
      save: () => null,
      restore() {},
    }),
  }
}

const RAM = { base: 0x8000_0000, size: 1 << 20 }

test('devices have ports by custom, by definition, or where there is room', () => {
  const { spec, context } = porting()
  const machine = createMachine(defineMachine({
    name: 'pc', memory: RAM, cpu: part(spec),
    devices: { first: part(chip(0x20, 0x31)), second: part(chip(0x20, 0x32), { at: 0xfffe }), third: part(chip(undefined, 0x33)) },
  }), testHost())
  expect(machine.resolved.devices.map(({ regions }) => regions)).toEqual([0x20, 0xfffe, 0x1000].map((base) => [{ name: 'ports', index: 0, base, size: 2, space: 'pio' }]))
  expect(printMachine(machine.resolved)).toContain('  ports 0x0020 - 0x0021  first ports (chip-49)\n  ports 0x1000')
  const ports: PortBus = context().ports ?? expect.unreachable('it has no ports')
  ports.write(0x20, 2, 0x1234)
  ports.write(0xfffe, 1, 5)
  expect([ports.read(0x20, 1), ports.read(0x21, 1), ports.read(0x20, 4), ports.read(0xfffe, 1), ports.read(0x22, 1)]).toEqual([0x34, 0x12, 0xffff_1234, 5, 0xff])
  expect(context().bus.read(0x20, 2), 'ports are no memory').toBe(-1)
  machine.dispose()
})

test('a vector comes from the controller that asserts the input', () => {
  const { spec, context } = porting()
  const machine = createMachine(defineMachine({
    name: 'pc', memory: RAM, cpu: part(spec), devices: { first: part(chip(0x20, 0x31)), second: part(chip(0xa0, 0x32)) },
  }), testHost())
  const acknowledge = (): number | undefined => context().acknowledge?.('hart0.meip')
  expect(acknowledge()).toBe(0xff)
  context().ports?.write(0xa0, 1, 1)
  expect(acknowledge()).toBe(0x32)
  context().ports?.write(0x20, 1, 1)
  expect(acknowledge()).toBe(0x31)
  context().ports?.write(0x20, 1, 0)
  expect([acknowledge(), context().acknowledge?.('hart0.seip')]).toEqual([0x32, 0xff])
  machine.dispose()
})

test('asking for a vector looks no device up again, however many there are', () => {
  const { spec, context } = porting()
  let asked = 0
  const counted = (port: number, vector: number): DeviceSpec<null, null, 'intr'> => ({
    ...chip(port, vector),
    irqs() {
      asked++
      return ['intr']
    },
  })
  const machine = createMachine(defineMachine({ name: 'pc', memory: RAM, cpu: part(spec), devices: { first: part(counted(0x20, 0x31)), second: part(counted(0xa0, 0x32)) } }), testHost())
  context().ports?.write(0xa0, 1, 1)
  expect(context().acknowledge?.('hart0.meip')).toBe(0x32)
  asked = 0
  for (let each = 0; each < 100; each++) expect(context().acknowledge?.('hart0.meip')).toBe(0x32)
  expect(asked).toBe(0)
  machine.dispose()
})

test('what cannot be is refused', () => {
  const refusal = (spec: CpuSpec, devices: Readonly<Record<string, DevicePart>>): string => {
    try {
      const { definition, catalogue } = defineMachine({ name: 'pc', memory: RAM, cpu: part(spec), devices })
      resolve(definition, catalogue)
    } catch (error) {
      if (isMachinistError(error)) return `${error.code} ${error.part}`
      throw error
    }
    return 'none'
  }
  const { spec } = porting()
  expect(refusal(fakeCpu, { first: part(chip(0x20, 1)) })).toBe('no-port-space first')
  expect(refusal(spec, { first: part(chip(0x20, 1)), second: part(chip(0x21, 2)) })).toBe('overlap second')
  expect(refusal(spec, { first: part(chip(0x20, 1), { at: 0xffff }) })).toBe('bad-address first')
  expect(refusal(spec, { first: part(chip(0x20, 1), { at: [0x20, 0x30] }) })).toBe('bad-address first')
  expect(refusal(spec, Object.fromEntries(Array.from({ length: 0x7800 / 0x100 }, (_, index) => [`x${index}`, part(chip(undefined, index))])))).toBe('none')
})

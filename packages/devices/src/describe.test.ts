import type { DeviceSpec, FdtNode, FdtValue } from '@machinist/api'
import { expect, test } from 'vitest'
import { goldfishRtc, syscon, uart16550a } from './index.ts'

interface Node { properties: Record<string, FdtValue>; children: Record<string, Node>; labels: string[] }

function recorder(into: Node): FdtNode {
  return {
    set(name, value) { into.properties[name] = value; return this },
    child: (name) => recorder(into.children[name] ??= { properties: {}, children: {}, labels: [] }),
    label(name) { into.labels.push(name); return this },
  }
}

function described<Config, S, Irq extends string>(spec: Pick<DeviceSpec<Config, S, Irq>, 'describe' | 'configure'>, input: unknown, name: string, irq: number | string | null): Node {
  const root: Node = { properties: {}, children: {}, labels: [] }
  spec.describe?.(spec.configure(input, name), {
    name, harts: 1, timeFrequency: 1, regions: [{ base: 0x1000_0000, size: 0x100 }], irqs: irq === null ? [] : [{ irq: 'interrupt', to: 'plic', line: irq, ...(typeof irq === 'number' ? { ref: 'plic', cells: [irq, 4] } : { ref: 'hart0', cells: [] }) }],
  }, { fdt: recorder(root) })
  return root
}

test('a UART', () => {
  expect(described(uart16550a, { regShift: 2, regIoWidth: 4 }, 'uart0', 10).children['soc']?.children).toEqual({
    'serial@10000000': {
      labels: ['uart0'], children: {},
      properties: {
        compatible: 'ns16550a', reg: [{ u64: 0x1000_0000 }, { u64: 0x100 }], 'clock-frequency': 3_686_400,
        'interrupt-parent': [{ ref: 'plic' }], interrupts: [10, 4], 'reg-shift': 2, 'reg-io-width': 4,
      },
    },
  })
})

test('an RTC whose interrupt goes nowhere', () => {
  expect(described(goldfishRtc, {}, 'rtc', null).children['soc']?.children['rtc@10000000']?.properties).toEqual({
    compatible: 'google,goldfish-rtc', reg: [{ u64: 0x1000_0000 }, { u64: 0x100 }],
  })
})

test('power control', () => {
  const root = described(syscon, {}, 'power', null)
  expect(root.children['soc']?.children['test@10000000']?.labels).toEqual(['power'])
  expect(root.children['poweroff']?.properties).toEqual({ compatible: 'syscon-poweroff', regmap: [{ ref: 'power' }], offset: 0, value: 0x5555 })
  expect(root.children['reboot']?.properties).toEqual({ compatible: 'syscon-reboot', regmap: [{ ref: 'power' }], offset: 0, value: 0x7777 })
})

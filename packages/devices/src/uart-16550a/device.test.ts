import { fakeChar, testDevice, type FakeChar, type TestDevice } from '@machinist/registers/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { uart16550a, type Uart16550aConfig, type Uart16550aState, type UartBackends } from '../index.ts'

const [RBR, THR, IER, IIR, FCR, LCR, MCR, LSR, MSR, SCR, DLL, DLM] = [0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 0, 1]
const [DR, OE, THRE, TEMT] = [0x01, 0x02, 0x20, 0x40]
const [ERBFI, ETBEI, ELSI, EDSSI] = [0x01, 0x02, 0x04, 0x08]
/** Enable the FIFOs; trigger levels 1, 4, 8 and 14. */
const [FIFO, FIFO4, FIFO14] = [0x01, 0x41, 0xc1]
const LOOP = 0x10

interface Uart extends TestDevice<Uart16550aConfig, Uart16550aState, 'interrupt', UartBackends> {
  get(register: number): number
  put(register: number, value: number): void
  readonly irq: boolean
}

function make(config: unknown = {}, host: FakeChar = fakeChar()): { uart: Uart; host: FakeChar } {
  const dut = testDevice(uart16550a, config, { backends: { console: host } })
  const uart: Uart = {
    ...dut,
    get: (register) => dut.read(register << dut.config.regShift, 1),
    put: (register, value) => { dut.write(register << dut.config.regShift, value, 1) },
    get irq() { return dut.context.irq.interrupt.level },
  }
  return { uart, host }
}

const send = (uart: Uart, text: string): void => { for (const character of text) uart.put(THR, character.charCodeAt(0)) }
const receive = (uart: Uart): string => {
  let text = ''
  while ((uart.get(LSR) & DR) !== 0) text += String.fromCharCode(uart.get(RBR))
  return text
}

test('in ports it has eight, those of the first line of a PC, and no node in a device tree', () => {
  const config = uart16550a.configure({ space: 'pio' }, 'com1')
  expect(config).toEqual({ space: 'pio', clockFrequency: 1_843_200, regShift: 0, regIoWidth: 1 })
  expect([uart16550a.regions(config), uart16550a.shortcuts?.(config)]).toEqual([[{ name: 'ports', size: 8, space: 'pio', at: 0x3f8 }], []])
  expect(() => uart16550a.configure({ space: 'pio', regShift: 1 }, 'com1')).toThrow(expect.objectContaining({ code: 'config' }))
  const { uart, host } = make({ space: 'pio' })
  uart.put(IER, ETBEI)
  send(uart, 'hi')
  expect([host.text(), uart.irq]).toEqual(['hi', true])
})

describe('registers', () => {
  test('after a reset', () => {
    const { uart } = make()
    expect([IER, IIR, LCR, MCR, LSR, MSR].map((register) => uart.get(register))).toEqual([0, 1, 0, 0, THRE | TEMT, 0xb0])
    expect(uart.irq).toBe(false)
  })

  test('DLAB lays the divisor over data and interrupt enable', () => {
    const { uart, host } = make()
    uart.put(IER, 0xff)
    uart.put(LCR, 0x83)
    uart.put(DLL, 0x34)
    uart.put(DLM, 0x12)
    expect([uart.get(DLL), uart.get(DLM), uart.get(LCR)]).toEqual([0x34, 0x12, 0x83])
    uart.put(LCR, 0x03)
    expect(uart.get(IER)).toBe(0x0f)
    expect(host.sent).toEqual([])
    uart.put(SCR, 0xa5)
    expect(uart.get(SCR)).toBe(0xa5)
  })

  test.each([{ regShift: 0, regIoWidth: 1 }, { regShift: 1, regIoWidth: 2 }, { regShift: 2, regIoWidth: 4 }, { regShift: 2, regIoWidth: 1 }] as const)(
    'spaced by $regShift and accessed by $regIoWidth bytes', (config) => {
      const { uart, host } = make(config)
      const at = (register: number): number => register << config.regShift
      uart.write(at(SCR), 0x77, config.regIoWidth)
      expect(uart.read(at(SCR), config.regIoWidth)).toBe(0x77)
      uart.write(at(THR), 0x41, config.regIoWidth)
      expect(host.text()).toBe('A')
      expect(uart.read(at(LSR), config.regIoWidth)).toBe(THRE | TEMT)
      expect(uart.context.warnings).toEqual([])
    })

  test('FCR programs nothing without its enable bit', () => {
    const { uart } = make()
    uart.put(FCR, FIFO)
    expect(uart.get(IIR)).toBe(0xc1)
    uart.put(FCR, 0xc0)
    expect(uart.get(IIR)).toBe(0x01)
    expect(uart.device.save().fcr).toBe(0)
  })
})

describe('sending', () => {
  test('the transmitter interrupt: on enabling, cleared by reading IIR or by writing, again when empty', () => {
    const { uart, host } = make()
    uart.put(IER, ETBEI)
    expect(uart.irq).toBe(true)
    expect(uart.get(IIR)).toBe(0x02)
    expect(uart.irq).toBe(false)
    expect(uart.get(IIR)).toBe(0x01)
    host.room = 1
    send(uart, 'ab')
    expect(uart.get(LSR), 'b is in the shift register').toBe(THRE)
    expect(uart.irq).toBe(true)
    send(uart, 'c')
    expect(uart.get(LSR), 'c is in the holding register').toBe(0)
    expect(uart.irq).toBe(false)
    host.drain(1)
    expect(uart.get(LSR)).toBe(THRE)
    expect(uart.get(IIR)).toBe(0x02)
    host.drain(1)
    expect(uart.get(LSR)).toBe(THRE | TEMT)
    expect(uart.irq, 'the holding register had been empty before').toBe(false)
    expect(host.text()).toBe('abc')
  })

  test('a stalled host loses nothing of a guest that waits for THRE, and gets it in order', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.nat(40), fc.constant('guest' as const)), { maxLength: 60 }), fc.boolean(), (steps, fifos) => {
      const { uart, host } = make()
      host.room = 0
      uart.put(FCR, fifos ? FIFO : 0)
      const expected: number[] = []
      for (const step of steps) {
        if (step !== 'guest') host.drain(step)
        else if ((uart.get(LSR) & THRE) !== 0) {
          for (let i = 0; i < (fifos ? 16 : 1); i++) {
            uart.put(THR, expected.length & 0xff)
            expected.push(expected.length & 0xff)
          }
        }
      }
      expect(host.sent).toEqual(expected.slice(0, host.sent.length))
      host.drain(10_000)
      expect(host.sent).toEqual(expected)
      expect(uart.context.warnings).toEqual([])
      expect(uart.get(LSR) & (THRE | TEMT)).toBe(THRE | TEMT)
    }))
  })

  test.each([[FIFO, 17], [0, 2]])('FCR %i: a guest that does not look at THRE is held, by what does not fit', (control, room) => {
    const { uart, host } = make()
    host.room = 0
    uart.put(FCR, control)
    const text = 'abcdefghijklmnopqrstuvwxyz'
    send(uart, text)
    expect([host.held, uart.get(LSR)]).toEqual([26 - room, 0])
    host.drain(26 - room)
    expect([host.held, uart.get(LSR)]).toEqual([0, 0])
    host.drain(room)
    expect([host.text(), uart.get(LSR)]).toEqual([text, THRE | TEMT])
  })

  test('resetting the FIFO empties it, at the expense of whoever reads slowly', () => {
    const { uart, host } = make()
    host.room = 0
    uart.put(FCR, FIFO)
    send(uart, 'abcdef')
    uart.put(FCR, FIFO | 0x04)
    expect([host.held, uart.get(LSR)]).toEqual([5, THRE])
    host.drain(100)
    expect(host.text()).toBe('abcdef')
  })
})

describe('receiving', () => {
  test('input waits at the host until the guest has room, and all of it arrives', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.nat(30)), { maxLength: 40 }), fc.boolean(), fc.boolean(), (steps, fifos, irqs) => {
      const { uart, host } = make()
      uart.put(FCR, fifos ? FIFO4 : 0)
      uart.put(IER, irqs ? ERBFI : 0)
      const typed: number[] = []
      const got: number[] = []
      for (const step of steps) {
        if (typeof step !== 'number') {
          host.type([...step])
          typed.push(...step)
        } else for (let i = 0; i < step && (uart.get(LSR) & DR) !== 0; i++) got.push(uart.get(RBR))
        expect(typed.length - got.length - host.waiting).toBeLessThanOrEqual(fifos && irqs ? 16 : 1)
      }
      while ((uart.get(LSR) & DR) !== 0) got.push(uart.get(RBR))
      expect(got).toEqual(typed)
    }))
  })

  test.each([[0x01, 1], [0x41, 4], [0x81, 8], [0xc1, 14]])('FCR %i interrupts at %i bytes', (control, level) => {
    const { uart, host } = make()
    uart.put(FCR, control)
    uart.put(IER, ERBFI)
    for (let count = 1; count <= 16; count++) {
      host.type('x')
      expect(uart.get(IIR)).toBe(count >= level ? 0xc4 : 0xc1)
    }
    for (let count = 15; count >= 0; count--) {
      uart.get(RBR)
      expect(uart.get(IIR)).toBe(count >= level ? 0xc4 : 0xc1)
    }
  })

  test('bytes below the trigger level interrupt after four character times without another', () => {
    const { uart, host } = make({ clockFrequency: 1_843_200 })
    uart.put(LCR, 0x83)
    uart.put(DLL, 1)
    uart.put(LCR, 0x03)
    uart.put(FCR, FIFO14)
    uart.put(IER, ERBFI)
    const fourCharacters = Math.ceil(40 / 115_200 * 1e9)
    host.type('a')
    uart.advance(fourCharacters - 1)
    host.type('b')
    uart.advance(fourCharacters - 1)
    expect(uart.irq).toBe(false)
    uart.advance(1)
    expect(uart.irq).toBe(true)
    expect(uart.get(IIR)).toBe(0xcc)
    expect(uart.get(RBR)).toBe(0x61)
    expect(uart.get(IIR)).toBe(0xc1)
    uart.advance(fourCharacters)
    expect(uart.get(IIR)).toBe(0xcc)
    expect(uart.get(RBR)).toBe(0x62)
    uart.advance(fourCharacters * 2)
    expect(uart.irq).toBe(false)
  })

  test('a character timeout that was running goes on in a copy', () => {
    const { uart, host } = make()
    uart.put(FCR, FIFO14)
    uart.put(IER, ERBFI)
    host.type('a')
    const copy = make().uart
    copy.device.restore(structuredClone(uart.device.save()))
    copy.advance(1e9)
    expect(copy.get(IIR)).toBe(0xcc)
  })

  test('setting the UART up does not throw typed input away, resetting a filled FIFO does', () => {
    const { uart, host } = make()
    host.type('hello')
    uart.put(FCR, FIFO)
    uart.put(FCR, FIFO | 0x06)
    uart.put(IER, ERBFI)
    expect(receive(uart)).toBe('hello')
    host.type('0123456789abcdefgh')
    uart.put(FCR, FIFO | 0x02)
    expect(receive(uart)).toBe('gh')
  })
})

describe('input that is there before the guest listens', () => {
  /** What Linux's driver does to a UART at the first opening (drivers/tty/serial/8250), and at the last closing. */
  const clearFifos = (uart: Uart): void => { for (const value of [FIFO, FIFO | 0x06, 0]) uart.put(FCR, value) }
  const clearInterrupts = (uart: Uart): void => { for (const register of [LSR, RBR, IIR, MSR]) uart.get(register) }
  const open = (uart: Uart): void => {
    clearFifos(uart)
    clearInterrupts(uart)
    uart.get(LSR)
    uart.put(MCR, 0x08)
    uart.put(IER, ETBEI)
    for (const register of [LSR, IIR]) uart.get(register)
    uart.put(IER, 0)
    clearInterrupts(uart)
    uart.put(IER, ERBFI | ELSI)
    uart.put(FCR, FIFO)
    uart.put(FCR, FIFO | 0x80)
    uart.put(MCR, 0x0b)
  }
  const close = (uart: Uart): void => {
    uart.put(IER, 0)
    uart.put(MCR, 0x08)
    clearFifos(uart)
    uart.get(RBR)
    uart.get(IIR)
  }

  test('a byte that was read and not meant goes back also when the UART was restored between', () => {
    const [one, other] = [make(), make()]
    one.host.type('ab')
    one.uart.get(LSR)
    expect(one.uart.get(RBR)).toBe(0x61)
    other.uart.device.restore(structuredClone(one.uart.device.save()))
    for (const { uart } of [one, other]) {
      uart.get(IIR)
      expect(uart.get(RBR)).toBe(0x61)
    }
  })

  test('all of it arrives, although a driver throws away what it finds, and looks at LSR to print', () => {
    fc.assert(fc.property(fc.array(fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.constantFrom('open', 'close', 'print', 'read', 'copy'))), (steps) => {
      let { uart, host } = make()
      const typed: number[] = []
      const got: number[] = []
      let isOpen = false
      for (const step of steps) {
        if (typeof step !== 'string') {
          host.type([...step])
          typed.push(...step)
        } else if (step === 'print') for (let i = 0; i < 3; i++) uart.get(LSR)
        else if (step === 'copy') {
          const waiting = new Uint8Array(host.waiting)
          host.read(waiting)
          const copy = make()
          copy.host.type([...waiting])
          copy.uart.device.restore(structuredClone(uart.device.save()))
          ;({ uart, host } = copy)
        } else if (step === 'read' && isOpen) for (let i = 0; i < 5 && uart.irq; i++) got.push(uart.get(RBR))
        else if (step !== 'read' && isOpen !== (step === 'open')) {
          isOpen = step === 'open'
          if (isOpen) open(uart)
          else close(uart)
        }
      }
      if (isOpen) close(uart)
      // Whoever polls is given the rest.
      while ((uart.get(LSR) & DR) !== 0) got.push(uart.get(RBR))
      expect(got).toEqual(typed)
    }))
  })

  test('a guest that has taken RTS back gets nothing until it is on again; one that never had it gets all', () => {
    const { uart, host } = make()
    uart.put(IER, ERBFI)
    uart.put(FCR, FIFO)
    uart.put(MCR, 0x01)
    host.type('a')
    expect(receive(uart)).toBe('a')
    uart.put(MCR, 0x0b)
    host.type('b')
    uart.put(MCR, 0x09)
    host.type('c')
    expect(receive(uart)).toBe('b')
    const copy = make().uart
    copy.device.restore(structuredClone(uart.device.save()))
    expect(copy.device.save()).toEqual(uart.device.save())
    uart.put(MCR, 0x0b)
    expect(uart.irq).toBe(true)
    expect(receive(uart)).toBe('c')
  })
})

describe('loopback', () => {
  test('bytes come back, the host sees none and sends none', () => {
    const { uart, host } = make()
    uart.put(FCR, FIFO)
    uart.put(MCR, LOOP)
    host.type('typed')
    send(uart, 'looped')
    expect(receive(uart)).toBe('looped')
    expect(host.text()).toBe('')
    uart.put(MCR, 0)
    expect(receive(uart)).toBe('typed')
  })

  test.each([[FIFO, 16], [0, 1]])('FCR %d: an overrun is told once, by LSR and its interrupt', (control, room) => {
    const { uart } = make()
    uart.put(FCR, control)
    uart.put(MCR, LOOP)
    uart.put(IER, ELSI)
    const text = 'abcdefghijklmnop'.slice(0, room)
    send(uart, text)
    expect(uart.irq).toBe(false)
    send(uart, '!')
    expect(uart.get(IIR) & 0x0f).toBe(0x06)
    expect(uart.get(LSR) & OE).toBe(OE)
    expect(uart.irq).toBe(false)
    expect(uart.get(LSR) & OE).toBe(0)
    expect(receive(uart)).toBe(control === FIFO ? text : '!')
  })

  test('modem outputs drive modem inputs, and MSR tells what changed until it is read', () => {
    const { uart } = make()
    uart.put(IER, EDSSI)
    for (let outputs = 0; outputs < 16; outputs++) {
      uart.put(MCR, LOOP | outputs)
      const [dtr, rts, out1, out2] = [0, 1, 2, 3].map((bit) => outputs >>> bit & 1) as [number, number, number, number]
      expect(uart.get(MSR) >>> 4).toBe(rts | dtr << 1 | out1 << 2 | out2 << 3)
      expect(uart.get(MSR) & 0x0f).toBe(0)
    }
    uart.put(MCR, LOOP | 0x0b)
    expect(uart.get(MSR) & 0x0f, 'the trailing edge of RI').toBe(0x04)
    uart.put(MCR, LOOP | 0x0f)
    expect(uart.get(MSR) & 0x0f, 'its leading edge does not count').toBe(0)
    uart.put(MCR, LOOP | 0x0d)
    expect(uart.get(IIR)).toBe(0x00)
    expect(uart.irq).toBe(true)
    expect(uart.get(MSR) & 0x0f).toBe(0x01)
    expect(uart.irq).toBe(false)
  })
})

test('interrupts are told in the order of their priority', () => {
  const { uart } = make()
  uart.put(IER, 0x0f)
  uart.put(MCR, LOOP)
  send(uart, 'ab')
  expect(uart.get(IIR)).toBe(0x06)
  uart.get(LSR)
  expect(uart.get(IIR)).toBe(0x04)
  uart.get(RBR)
  expect(uart.get(IIR)).toBe(0x02)
  expect(uart.get(IIR)).toBe(0x00)
  uart.get(MSR)
  expect(uart.get(IIR)).toBe(0x01)
})

const access = fc.record({
  at: fc.nat(0x1f), width: fc.constantFrom(1 as const, 2 as const, 4 as const), value: fc.integer({ min: 0, max: 0xffff_ffff }),
  write: fc.boolean(), type: fc.uint8Array({ maxLength: 4 }), room: fc.nat(3), time: fc.nat(1_000_000),
})

test('random accesses: no exception, values in range, the line agrees with IIR, and a copy from a snapshot goes on alike', () => {
  fc.assert(fc.property(fc.constantFrom(0, 2), fc.array(access, { maxLength: 60 }), fc.array(access, { maxLength: 30 }), (regShift, before, after) => {
    const first = make({ regShift })
    first.host.room = 0
    const step = ({ uart, host }: { uart: Uart; host: FakeChar }, each: typeof before[number]): number => {
      host.type([...each.type])
      host.drain(each.room)
      uart.advance(each.time)
      if (each.write) uart.write(each.at, each.value % 2 ** (8 * each.width), each.width)
      return uart.read(each.at, each.width)
    }
    for (const each of before) {
      const value = step(first, each)
      expect(Number.isInteger(value) && value >= 0 && value < 2 ** (8 * each.width)).toBe(true)
      const line = first.uart.irq
      expect((first.uart.get(IIR) & 1) === 0).toBe(line)
    }
    const second = make({ regShift })
    // Its time is another.
    second.uart.advance(12_345_678_901)
    const state = structuredClone(first.uart.device.save())
    second.host.room = first.host.room
    const waiting = new Uint8Array(first.host.waiting)
    first.host.read(waiting)
    first.host.type([...waiting])
    second.host.type([...waiting])
    const sent = first.host.sent.length
    second.uart.device.restore(state)
    first.uart.device.restore(state)
    expect(second.uart.device.save()).toEqual(first.uart.device.save())
    for (const each of after) expect(step(second, each)).toBe(step(first, each))
    expect(second.host.sent).toEqual(first.host.sent.slice(sent))
    expect(second.uart.irq).toBe(first.uart.irq)
  }), { numRuns: 150 })
})

test('a saved state that does not fit is refused and changes nothing', () => {
  const { uart } = make()
  uart.put(SCR, 9)
  const before = uart.device.save()
  for (const change of [{ fcr: 256 }, { received: [1, 2] }, { sending: [1, 2, 3] }, { received: 'x' }, { timedOut: 0 }, { timeoutLeft: 0.5 }, { registers: null }]) {
    expect(() => { uart.device.restore({ ...before, ...change } as unknown as Uart16550aState) }).toThrow(expect.objectContaining({ code: 'state' }))
    expect(uart.device.save()).toEqual(before)
  }
})

test('a wrong configuration is refused by part and field', () => {
  for (const [config, part] of [[{ regShift: 5 }, 'uart0.regShift'], [{ regIoWidth: 4 }, 'uart0.regIoWidth'], [{ clockFrequency: 0 }, 'uart0.clockFrequency'],
    [{ baud: 9600 }, 'uart0.baud']] as const) {
    expect(() => uart16550a.configure(config, 'uart0')).toThrow(expect.objectContaining({ code: 'config', part }))
  }
})

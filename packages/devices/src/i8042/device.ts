import type { Device, DeviceContext, InputEvent, Width } from '@machinist/api'
import { machinistError } from '@machinist/api'
import { plainData, RegisterBlock } from '@machinist/registers'
import { type KeyboardState, Ps2Keyboard } from './keyboard.ts'
import { type MouseState, Ps2Mouse } from './mouse.ts'
import { Command, i8042Registers, Mode, OutputPort, RAM, Reply, Status } from './registers.ts'
import { BREAK, translated } from './scan-codes.ts'
import type { I8042Backends, I8042Irq } from './spec.ts'

/** Saved state of controller, keyboard and mouse. */
export interface I8042State {
  readonly ram: readonly number[]
  readonly outputPort: number
  /** The command whose parameter comes next; 0 for none. */
  readonly command: number
  readonly lastWasCommand: boolean
  readonly buffer: { readonly full: boolean; readonly value: number; readonly mouse: boolean }
  /** What the controller itself has to say. */
  readonly own: readonly { readonly value: number; readonly mouse: boolean }[]
  /** The byte before said that a key went up. */
  readonly breaks: boolean
  readonly keyboard: KeyboardState
  readonly mouse: MouseState
}

/** Numbers of evdev. */
const Ev = { key: 1, rel: 2, led: 0x11 } as const
const BUTTONS: Readonly<Record<number, number>> = { 0x110: 1, 0x111: 2, 0x112: 4 }
const AXES: Readonly<Record<number, 0 | 1 | 2>> = { 0: 0, 1: 1, 8: 2 }
/** Bits of the keyboard's lights, as evdev numbers them: num, caps, scroll. */
const LEDS = [1, 2, 0] as const
/** Packets of a host that are taken at once. */
const PACKETS = 16
const MOST_OWN = 16

/** The controller with what is at its two connectors. */
export class I8042 implements Device<I8042State> {
  readonly #context: DeviceContext<I8042Irq, I8042Backends>
  readonly #registers: RegisterBlock<typeof i8042Registers>
  readonly #keyboard: Ps2Keyboard
  readonly #mouse = new Ps2Mouse()
  readonly #ram = new Uint8Array(RAM)
  #outputPort: number = OutputPort.initial
  #command = 0
  #lastWasCommand = false
  #buffer = { full: false, value: 0, mouse: false }
  readonly #own: { readonly value: number; readonly mouse: boolean }[] = []
  #breaks = false

  constructor(context: DeviceContext<I8042Irq, I8042Backends>) {
    this.#context = context
    const { keyboard, mouse } = context.backends
    this.#keyboard = new Ps2Keyboard((bits) => { LEDS.forEach((bit, code) => { keyboard.status({ type: Ev.led, code, value: bits >>> bit & 1 }) }) })
    this.#registers = new RegisterBlock(i8042Registers, {
      name: context.name, trace: context.trace,
      read: { DATA: () => this.#take(), STATUS: () => this.#status },
      write: { DATA: (value) => { this.#data(value) }, COMMAND: (value) => { this.#begin(value) } },
    })
    for (const each of [keyboard, mouse]) each.listen({ readable: () => { this.#update() } })
  }

  read(region: number, _offset: number, width: Width): number {
    return this.#registers.read(region === 0 ? 0 : 4, width)
  }

  write(region: number, _offset: number, width: Width, value: number): void {
    this.#registers.write(region === 0 ? 0 : 4, width, value)
  }

  reset(): void {
    this.#ram.fill(0)
    // As a BIOS finds it: keys come, translated, without interrupts.
    this.#ram[0] = Mode.system | Mode.translate
    this.#outputPort = OutputPort.initial
    this.#command = 0
    this.#lastWasCommand = false
    this.#buffer = { full: false, value: 0, mouse: false }
    this.#own.length = 0
    this.#breaks = false
    this.#keyboard.reset()
    this.#mouse.reset()
    this.#update()
  }

  save(): I8042State {
    return {
      ram: [...this.#ram], outputPort: this.#outputPort, command: this.#command, lastWasCommand: this.#lastWasCommand, buffer: { ...this.#buffer }, own: this.#own.map((each) => ({ ...each })), breaks: this.#breaks,
      keyboard: this.#keyboard.save(), mouse: this.#mouse.save(),
    }
  }

  restore(state: I8042State): void {
    const { name } = this.#context
    const data = plainData(name, state, 'state')
    const ram = data.integers('ram', RAM, 0, 0xff)
    const outputPort = data.integer('outputPort', 0, 0xff)
    const command = data.integer('command', 0, 0xff)
    const lastWasCommand = data.boolean('lastWasCommand')
    const own = data.list('own', MOST_OWN, (entry) => ({ value: entry.integer('value', 0, 0xff), mouse: entry.boolean('mouse') }))
    const breaks = data.boolean('breaks')
    const inner = (field: string): ReturnType<typeof plainData> => plainData(`${name}.${field}`, data.unknown(field), 'state')
    const [given, keys, pointer] = [inner('buffer'), inner('keyboard'), inner('mouse')]
    const buffer = { full: given.boolean('full'), value: given.integer('value', 0, 0xff), mouse: given.boolean('mouse') }
    const [keyboard, mouse] = [Ps2Keyboard.read(keys), Ps2Mouse.read(pointer)]
    for (const each of [given, keys, pointer, data]) each.done()
    if ((outputPort & OutputPort.run) === 0) throw machinistError({ code: 'state', part: `${name}.outputPort`, value: outputPort, remedy: 'Restore a state saved by this version of this device.' }, 'a machine that is being reset is not saved')
    this.#ram.set(ram)
    this.#outputPort = outputPort
    this.#command = command
    this.#lastWasCommand = lastWasCommand
    this.#own.splice(0, this.#own.length, ...own)
    this.#breaks = breaks
    this.#buffer = buffer
    this.#keyboard.restore(keyboard)
    this.#mouse.restore(mouse)
    this.#drive()
  }

  get #mode(): number {
    return this.#ram[0] ?? 0
  }

  get #status(): number {
    return Status.unlocked | (this.#mode & Mode.system) | (this.#lastWasCommand ? Status.command : 0) | (this.#buffer.full ? Status.output | (this.#buffer.mouse ? Status.auxiliary : 0) : 0)
  }

  #take(): number {
    const { value } = this.#buffer
    this.#buffer.full = false
    // The next byte is another interrupt.
    this.#drive()
    this.#update()
    return value
  }

  #say(value: number, mouse: boolean = false): void {
    if (this.#own.length < MOST_OWN) this.#own.push({ value, mouse })
  }

  #begin(value: number): void {
    this.#lastWasCommand = true
    this.#command = 0
    if (value >= Command.readRam && value < Command.readRam + RAM) this.#say(this.#ram[value - Command.readRam] ?? 0)
    else if (value >= Command.writeRam && value < Command.writeRam + RAM) this.#command = value
    else if (value >= Command.pulse) {
      if ((value & OutputPort.run) === 0) this.#context.backends.power.reset()
    } else this.#do(value)
    this.#update()
  }

  #do(value: number): void {
    const mode = (on: number, off: number): void => { this.#ram[0] = (this.#mode | on) & ~off }
    switch (value) {
      case Command.mouseOff: mode(Mode.mouseOff, 0); break
      case Command.mouseOn: mode(0, Mode.mouseOff); break
      case Command.keyboardOff: mode(Mode.keyboardOff, 0); break
      case Command.keyboardOn: mode(0, Mode.keyboardOff); break
      case Command.testMouse: case Command.testKeyboard: case Command.readTest: this.#say(0); break
      case Command.selfTest:
        mode(Mode.system, 0)
        this.#say(Reply.controllerPassed)
        break
      case Command.readInput: this.#say(0x80); break
      case Command.readOutput: this.#say(this.#outputPort); break
      case Command.writeOutput: case Command.writeKeyboardBuffer: case Command.writeMouseBuffer: case Command.writeMouse: this.#command = value; break
      case Command.a20Off: this.#outputPort &= ~OutputPort.a20; break
      case Command.a20On: this.#outputPort |= OutputPort.a20; break
      default: this.#context.trace.warn(`${this.#context.name}: there is no command ${value}`)
    }
  }

  #data(value: number): void {
    const command = this.#command
    this.#command = 0
    this.#lastWasCommand = false
    if (command >= Command.writeRam && command < Command.writeRam + RAM) this.#ram[command - Command.writeRam] = value
    else if (command === Command.writeOutput) {
      if ((value & OutputPort.run) === 0) this.#context.backends.power.reset()
      this.#outputPort = value | OutputPort.run
    } else if (command === Command.writeKeyboardBuffer) this.#say(value)
    else if (command === Command.writeMouseBuffer) this.#say(value, true)
    else if (command === Command.writeMouse) {
      this.#ram[0] = this.#mode & ~Mode.mouseOff
      this.#mouse.write(value)
    } else {
      this.#ram[0] = this.#mode & ~Mode.keyboardOff
      this.#keyboard.write(value)
    }
    this.#update()
  }

  /** Takes what hosts have while there is room, fills the output buffer, and drives the outputs. */
  #update(): void {
    const { keyboard, mouse } = this.#context.backends
    for (let packet = 0; packet < PACKETS && this.#keyboard.room; packet++) {
      const events = keyboard.receive()
      if (events === null) break
      for (const { type, code, value } of events) if (type === Ev.key && this.#keyboard.room) this.#keyboard.key(code, value !== 0)
    }
    for (let packet = 0; packet < PACKETS && this.#mouse.room; packet++) {
      const events = mouse.receive()
      if (events === null) break
      for (const event of events) this.#pointer(event)
      this.#mouse.report()
    }
    if (!this.#buffer.full) this.#fill()
    this.#drive()
  }

  #pointer({ type, code, value }: InputEvent): void {
    const [button, axis] = [BUTTONS[code], AXES[code]]
    if (type === Ev.key && button !== undefined) this.#mouse.button(button, value !== 0)
    // Down is positive to a host, and up to a mouse; so is the wheel.
    if (type === Ev.rel && axis !== undefined) this.#mouse.move(axis, axis === 0 ? value : -value)
  }

  #fill(): void {
    const own = this.#own.shift()
    if (own !== undefined) this.#buffer = { full: true, ...own }
    else if ((this.#mode & Mode.keyboardOff) === 0 && this.#keyboard.queue.length > 0) this.#fillFromKeyboard()
    if (!this.#buffer.full && (this.#mode & Mode.mouseOff) === 0 && this.#mouse.queue.length > 0) this.#buffer = { full: true, value: this.#mouse.take(), mouse: true }
  }

  #fillFromKeyboard(): void {
    while (this.#keyboard.queue.length > 0) {
      const value = this.#keyboard.take()
      if ((this.#mode & Mode.translate) === 0) {
        this.#buffer = { full: true, value, mouse: false }
        return
      }
      if (value === BREAK) {
        this.#breaks = true
        continue
      }
      this.#buffer = { full: true, value: translated(value) | (this.#breaks ? 0x80 : 0), mouse: false }
      this.#breaks = false
      return
    }
  }

  #drive(): void {
    const { full, mouse } = this.#buffer
    const { irq } = this.#context
    irq.keyboard.set(full && !mouse && (this.#mode & Mode.keyboardInterrupt) !== 0)
    irq.mouse.set(full && mouse && (this.#mode & Mode.mouseInterrupt) !== 0)
    irq.a20m.set((this.#outputPort & OutputPort.a20) === 0)
  }
}

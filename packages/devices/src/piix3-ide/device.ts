import { type Device, type DeviceContext, machinistError, type Width } from '@machinist/api'
import { plainData, RegisterBlock, type RegisterState } from '@machinist/registers'
import { busMasterState, type BusMasterState } from './bus-master.ts'
import { CdRom } from './cd-rom.ts'
import { IdeChannel } from './channel.ts'
import { Disk } from './disk.ts'
import { driveState, type DriveState } from './drive.ts'
import { type Piix3IdeBackends, type Piix3IdeConfig, type Piix3IdeIrq, places } from './places.ts'
import { Bm, BLOCK, BUS_MASTER, busMasterRegisters, FIRST, ideRegisters } from './registers.ts'

/** Saved state of the controller. */
export interface Piix3IdeState {
  readonly registers: RegisterState
  /** Of each channel. */
  readonly masters: readonly BusMasterState[]
  readonly second: readonly boolean[]
  /** Of each place; null where no drive is. */
  readonly drives: readonly (DriveState | null)[]
}

/** Regions: see the spec. */
const Region = { configuration: 0, busMaster: 1, block: [2, 4], control: [3, 5] } as const
/** Timer by which disks are asked again after a restore, when all of the machine is there. */
const again = 'again'
const channelIndexes = [0, 1] as const

/** Two channels with their drives. */
export class Piix3Ide implements Device<Piix3IdeState> {
  readonly #context: DeviceContext<Piix3IdeIrq, Piix3IdeBackends>
  readonly #registers: RegisterBlock<typeof ideRegisters>
  readonly #channels: readonly [IdeChannel, IdeChannel]
  readonly #masters: readonly RegisterBlock<typeof busMasterRegisters>[]
  readonly #drives: readonly (Disk | CdRom | null)[]

  constructor(config: Piix3IdeConfig, context: DeviceContext<Piix3IdeIrq, Piix3IdeBackends>) {
    this.#context = context
    const { name, dma, irq } = context
    this.#registers = new RegisterBlock(ideRegisters, { name, trace: context.trace })
    this.#channels = [new IdeChannel(dma, irq.irq14), new IdeChannel(dma, irq.irq15)]
    this.#drives = places.map((place, index) => {
      const port = context.backends[place]
      const channel = this.#channels[index < 2 ? 0 : 1]
      const serial = `${name}-${index}`.slice(0, 20)
      const kind = config[place]
      if (kind === 'none') return null
      if (kind === 'cdrom') {
        if (port.size % BLOCK !== 0) throw machinistError({ code: 'disk-size', part: `${name}.${place}`, value: port.size, remedy: `Use an image that is a multiple of ${BLOCK} bytes.` }, 'the medium does not end at the end of a block')
        return new CdRom(port, channel, serial)
      }
      if (port.size === 0) throw machinistError({ code: 'disk-size', part: `${name}.${place}`, value: port.size, remedy: "Give it a disk, or 'none' as its drive." }, 'a disk without sectors')
      return new Disk(port, channel, serial)
    })
    for (const index of channelIndexes) this.#channels[index].plug(this.#drives.slice(2 * index, 2 * index + 2))
    this.#masters = this.#channels.map((channel) => {
      const { master } = channel
      const block: RegisterBlock<typeof busMasterRegisters> = new RegisterBlock(busMasterRegisters, {
        name, trace: { ...context.trace, warn() {} },
        read: { BMICOM: () => master.command, BMISTA: () => master.status, BMIDTP: () => master.table },
        write: {
          BMICOM: (value) => { channel.command(value) },
          // What was written as 1 of error and interrupt is 0 then; the drives' bits are as written (2.7.2).
          BMISTA: (value) => { master.status = (master.status & Bm.active) | (master.status & ~value & (Bm.error | Bm.interrupt)) | (value & Bm.drives) },
          BMIDTP: (value) => { master.table = value - value % 4 },
        },
      })
      return block
    })
  }

  read(region: number, offset: number, width: Width): number {
    if (region === Region.configuration) return known(FIRST + offset, width) ? this.#registers.read(FIRST + offset, width) : 0
    if (region === Region.busMaster) return this.#masters[offset < BUS_MASTER ? 0 : 1]?.read(offset % BUS_MASTER, width) ?? 0
    const [index, control] = channelOf(region)
    if (!this.#decodes(index)) return 2 ** (8 * width) - 1
    return control ? this.#channels[index].alternate : this.#channels[index].readBlock(offset, width)
  }

  write(region: number, offset: number, width: Width, value: number): void {
    if (region === Region.configuration) {
      if (known(FIRST + offset, width)) this.#registers.write(FIRST + offset, width, value)
      return
    }
    if (region === Region.busMaster) {
      this.#masters[offset < BUS_MASTER ? 0 : 1]?.write(offset % BUS_MASTER, width, value)
      return
    }
    const [index, control] = channelOf(region)
    if (!this.#decodes(index)) return
    if (control) this.#channels[index].writeControl(value & 0xff)
    else this.#channels[index].writeBlock(offset, width, value)
  }

  event(): void {
    for (const channel of this.#channels) channel.again()
  }

  reset(): void {
    this.#context.clock.timer(again).cancel()
    this.#registers.reset()
    for (const channel of this.#channels) channel.powerOn()
  }

  save(): Piix3IdeState {
    return {
      registers: this.#registers.save(),
      masters: this.#channels.map(({ master }) => master.save()),
      second: this.#channels.map(({ second }) => second),
      drives: this.#drives.map((drive) => drive?.save() ?? null),
    }
  }

  restore(state: Piix3IdeState): void {
    const { name } = this.#context
    const data = plainData(name, state, 'state')
    const registers = data.unknown('registers')
    const masters = listOf(data.unknown('masters'), 2, name).map((each) => {
      const fields = plainData(`${name}.masters`, each, 'state')
      const master = busMasterState(fields)
      fields.done()
      return master
    })
    const second = listOf(data.unknown('second'), 2, name)
    const drives = listOf(data.unknown('drives'), places.length, name).map((each, index) => {
      const drive = this.#drives[index] ?? null
      if ((each === null) !== (drive === null)) throw wrong(name)
      if (drive === null) return null
      const fields = plainData(`${name}.drives`, each, 'state')
      const checked = driveState(fields, `${name}.drives`, drive.port.size)
      fields.done()
      return checked
    })
    data.done()
    if (!second.every((each) => typeof each === 'boolean')) throw wrong(name)
    this.#registers.restore(registers)
    this.#drives.forEach((drive, index) => {
      const saved = drives[index] ?? null
      if (saved !== null) drive?.restore(saved)
    })
    for (const index of channelIndexes) {
      const master = masters[index]
      if (master !== undefined) this.#channels[index].master.restore(master)
      this.#channels[index].restored(second[index] === true)
    }
    if (this.#channels.some(({ asks }) => asks)) this.#context.clock.timer(again).arm(this.#context.clock.now())
  }

  #decodes(index: 0 | 1): boolean {
    return this.#registers.field('IDETIM', 'DECODE', index) === 1
  }
}

function channelOf(region: number): readonly [index: 0 | 1, control: boolean] {
  const [primary] = Region.block
  return [region < primary + 2 ? 0 : 1, (region - primary) % 2 === 1]
}

function listOf(value: unknown, length: number, part: string): readonly unknown[] {
  if (!Array.isArray(value) || value.length !== length) throw wrong(part)
  return value
}

function wrong(part: string): Error {
  return machinistError({ code: 'state', part, remedy: 'Restore a state saved by this version of this device, with the same drives.' }, 'not the state of this controller')
}

/** Software that sizes and lists functions reads all of configuration space: what is not there is nothing to warn of. */
function known(offset: number, width: number): boolean {
  return offset < FIRST + 5 && offset + width > FIRST
}

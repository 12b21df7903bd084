import { machinistError } from '@machinist/api'
import { isGroup, macOfName, macText, parseMac } from '@machinist/packets'
import { plainData } from '@machinist/registers'

/** Configuration of a network device, checked. */
export interface NetConfig {
  /** Its address, `'02:00:00:00:00:01'`. Default: what the network suggests, else one made of the device's name. */
  readonly mac: string | null
  /** Pairs of queues, 1 to 8. Default: 1. */
  readonly pairs: number
  /** Entries of each queue, a power of two from 16 to 1024. Default: 256. */
  readonly queueSize: number
  /** Speed that the guest is told, in Mbit/s; 0 when unknown. Changes nothing. Default: 0. */
  readonly speed: number
}

/** Checks what a machine file says; throws a typed error (`config`). */
export function configureNet(input: unknown, name: string): NetConfig {
  const data = plainData(name, input, 'configuration')
  const given = data.unknown('mac') ?? null
  const config: NetConfig = {
    mac: given === null ? null : macText(station(`${name}.mac`, given)),
    pairs: data.integer('pairs', 1, 8, 1),
    queueSize: data.oneOf('queueSize', [16, 32, 64, 128, 256, 512, 1024], 256),
    speed: data.integer('speed', 0, 0x7fff_ffff, 0),
  }
  data.done()
  return config
}

/** The address of a device: as configured, as the network suggests, or of its own. */
export function addressOf(config: NetConfig, name: string, suggested: string | undefined): number {
  if (config.mac !== null) return station(`${name}.mac`, config.mac)
  return suggested === undefined ? macOfName(name) : station(`${name}.address`, suggested)
}

function station(part: string, value: unknown): number {
  const mac = typeof value === 'string' ? parseMac(value) : null
  if (mac !== null && mac !== 0 && !isGroup(mac)) return mac
  throw machinistError(
    { code: 'config', part, value: String(value).slice(0, 40), remedy: "Give six hexadecimal bytes, the first one even, such as '02:00:00:00:00:01'." },
    'not the address of one station')
}

import type { BackendDescriptor } from '@machinist/machine'
import { usageError } from './usage.ts'

const REMEDY = 'Use --net nat, --net nat,forward=tcp:127.0.0.1:2222-:22, --net switch=NAME, --net tap=NAME or --net none.'
/** Options of a NAT that have one value, and those that gather. */
const SINGLE = ['mode', 'mtu', 'network', 'network6', 'otherwise', 'switch'] as const
const LISTS = { forward: 'forward', service: 'service', resolver: 'resolvers', allow: 'rules', deny: 'rules' } as const

/** What `--net` asks for: one network, or none. */
export function parseNet(value: string): BackendDescriptor[] {
  const [kind = '', ...options] = value.split(',')
  if (kind === 'none' && options.length === 0) return []
  const device = /^tap=(.+)$/.exec(kind)?.[1]
  if (device !== undefined && options.length === 0) return [{ type: 'tap', name: device }]
  const lan = /^switch=(.+)$/.exec(kind)?.[1]
  if (lan !== undefined && options.length === 0) return [{ type: 'switch', name: lan }]
  if (kind !== 'nat') throw usageError('--net', 'no such network', REMEDY, value)
  const single: Record<string, string | number | false> = {}
  const lists: Record<string, string[]> = {}
  for (const option of options) {
    const [, name = '', text = ''] = /^([a-z0-9]+)=(.+)$/.exec(option) ?? []
    const list = Object.hasOwn(LISTS, name) ? LISTS[name as keyof typeof LISTS] : undefined
    if (list !== undefined) (lists[list] ??= []).push(list === 'rules' ? `${name} ${text}` : text)
    else if (!SINGLE.some((each) => each === name)) throw usageError('--net', 'no such option of a NAT', `Use ${[...Object.keys(LISTS), ...SINGLE].join('=, ')}=.`, option)
    else single[name] = name === 'mtu' ? Number(text) : text === 'none' && name === 'network6' ? false : text
  }
  return [{ type: 'nat', ...single, ...lists }]
}

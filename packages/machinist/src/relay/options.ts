import { COMMON_OPTIONS, type CommandInfo } from '../command-line/table.ts'

/** Options of `machinist relay`, besides those of every command. */
export const RELAY_OPTIONS = {
  'allow': { type: 'string', multiple: true, forms: [['[PROTOCOL:]ADDRESSES[:PORTS]', 'let machines reach this, as tcp:192.0.2.0/24:80-90; nothing unless given. Several are asked in turn, with those of --deny.']] },
  'deny': { type: 'string', multiple: true, forms: [['[PROTOCOL:]ADDRESSES[:PORTS]', 'keep machines from this, of what an --allow behind it lets through']] },
  'service': { type: 'string', multiple: true, forms: [['PROTOCOL:ADDRESS:PORT-HOST:PORT', 'have an address in the machines\' network lead to a service of this host: tcp:10.0.2.100:80-127.0.0.1:8080']] },
  'resolver': { type: 'string', multiple: true, forms: [['ADDRESS[:PORT]', 'where names are asked for; nowhere unless given']] },
  'origin': { type: 'string', multiple: true, forms: [['ORIGIN', 'let pages of this origin connect, as https://example.org; those of this host unless given']] },
  'token-file': { type: 'string', offers: 'file', forms: [['FILE', 'let those pages alone connect that tell the token in this file; needed where the address is not loopback\'s']] },
  'clients': { type: 'string', forms: [['N', 'most pages at once; 32']] },
} as const

export const RELAY_COMMAND: CommandInfo = {
  name: 'relay',
  summary: 'be the way out for machines in web pages',
  usage: [['[ADDRESS:]PORT [options]', 'a WebSocket at this port, on 127.0.0.1 unless an address is given']],
  groups: [{ title: 'Options', options: { ...RELAY_OPTIONS, ...COMMON_OPTIONS } }],
  notes: ['Each page has a network of its own, with DHCP; its machine reaches what is told here, and nothing else.'],
  examples: ['8022 --service tcp:10.0.2.100:80-127.0.0.1:8080'],
}

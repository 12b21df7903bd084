/** DNS messages (RFC 1035, 4), as far as who passes them on looks into them. */
import { get16, set16 } from '@machinist/packets'

/** Bytes of the header. */
export const dnsHeader = 12
/** Places in it: flags, and how many questions, answers, authorities and further records follow. */
const field = { flags: 2, questions: 4, answers: 6, authorities: 8, additional: 10 } as const
const RESPONSE = 0x8000
const TRUNCATED = 0x0200
/** Of the flags of a question, those that its answer repeats: the kind of query, and whether recursion is desired. */
const REPEATED = 0x7900
const RECURSION_AVAILABLE = 0x0080
const SERVER_FAILURE = 2
/** What any client takes by UDP (RFC 1035, 4.2.1); who says less in EDNS is taken to mean this (RFC 6891, 6.2.3). */
const LEAST = 512
/** Type of the record that EDNS adds (RFC 6891, 6.1.2). Its class is what the sender takes by UDP. */
const OPT = 41

/** A resource record: where it begins and ends, in which of the three sections it is, its type and class. */
interface DnsRecord {
  readonly section: 0 | 1 | 2
  readonly from: number
  readonly to: number
  readonly type: number
  readonly class: number
}

/** Whether a message is a question, and whole enough to be one. */
export function isQuestion(bytes: Uint8Array): boolean {
  return bytes.length >= dnsHeader && (get16(bytes, field.flags) & RESPONSE) === 0
}

/** Where a name ends; behind the message when it does not. */
function nameEnd(bytes: Uint8Array, from: number): number {
  for (let at = from; ;) {
    const length = bytes[at] ?? 0x80
    if (length >= 0xc0) return at + 2
    if (length >= 0x40) return Infinity
    at += 1 + length
    if (length === 0) return at
  }
}

/** Where the questions end; null when they are damaged. */
function questionsEnd(bytes: Uint8Array): number | null {
  let at = dnsHeader
  for (let left = get16(bytes, field.questions); left > 0 && at <= bytes.length; left--) at = nameEnd(bytes, at) + 4
  return at <= bytes.length ? at : null
}

/** The records of a message, as far as it is in order. */
function* recordsOf(bytes: Uint8Array): Generator<DnsRecord> {
  let at = questionsEnd(bytes)
  if (at === null) return
  for (const section of [0, 1, 2] as const) {
    for (let left = get16(bytes, field.answers + 2 * section); left > 0; left--) {
      const name = nameEnd(bytes, at)
      if (name + 10 > bytes.length) return
      const to = name + 10 + get16(bytes, name + 8)
      if (to > bytes.length) return
      yield { section, from: at, to, type: get16(bytes, name), class: get16(bytes, name + 2) }
      at = to
    }
  }
}

/** How many bytes of an answer a client takes by UDP. */
export function udpLimit(query: Uint8Array): number {
  for (const record of recordsOf(query)) if (record.section === 2 && record.type === OPT) return Math.max(LEAST, record.class)
  return LEAST
}

/** An answer as it may go by UDP: whole, or as many records of its answer as fit, and the word that it was cut (RFC 2181, 9; RFC 6891, 7). */
export function fitted(answer: Uint8Array, limit: number): Uint8Array {
  if (answer.length <= limit) return answer
  const records = [...recordsOf(answer)]
  const opt = records.find(({ section, type }) => section === 2 && type === OPT)
  const tail = opt === undefined ? new Uint8Array(0) : answer.subarray(opt.from, opt.to)
  const questions = questionsEnd(answer)
  const whole = questions !== null && questions + tail.length <= limit
  let end = whole ? questions : dnsHeader
  let count = 0
  for (const { section, to } of whole ? records : []) {
    if (section !== 0 || to + tail.length > limit) break
    end = to
    count++
  }
  const cut = new Uint8Array(end + (whole ? tail.length : 0))
  cut.set(answer.subarray(0, end))
  if (whole) cut.set(tail, end)
  else set16(cut, field.questions, 0)
  set16(cut, field.flags, get16(cut, field.flags) | TRUNCATED)
  set16(cut, field.answers, count)
  set16(cut, field.authorities, 0)
  set16(cut, field.additional, whole && opt !== undefined ? 1 : 0)
  return cut
}

/** The answer that the server failed, to the same question: without it clients take no answer. */
export function failure(query: Uint8Array): Uint8Array {
  const end = questionsEnd(query)
  const answer = query.slice(0, end ?? dnsHeader)
  set16(answer, field.flags, RESPONSE | (get16(query, field.flags) & REPEATED) | RECURSION_AVAILABLE | SERVER_FAILURE)
  if (end === null) set16(answer, field.questions, 0)
  answer.fill(0, field.answers, dnsHeader)
  return answer
}

import { RESOURCE_KINDS, type ResourceKind, type Resources, type Terms } from '@machinist/hypervisor'
import { checkTerms, termOf, TERMS } from '@machinist/hypervisor/text'
import { fieldsAt, type Place } from './place.ts'

/** `{ cpu: { shares: 500 }, memory: { limit: '512M' } }`. @throws a typed error that names the place */
export function resourcesAt(input: unknown, place: Place): Resources {
  const fields = fieldsAt(input, place, RESOURCE_KINDS)
  return Object.fromEntries(Object.entries(fields).map(([kind, terms]) => [kind, termsAt(kind as ResourceKind, terms, place.at(kind))]))
}

function termsAt(kind: ResourceKind, input: unknown, place: Place): Terms {
  const fields = fieldsAt(input, place, TERMS)
  const terms: Terms = Object.fromEntries(TERMS.filter((name) => fields[name] !== undefined).map((name) => {
    const at = place.at(name)
    return [name, termOf(kind, name, fields[name], at.refuse)]
  }))
  checkTerms(kind, terms, place.refuse)
  return terms
}

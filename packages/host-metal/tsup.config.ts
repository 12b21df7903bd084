import { type Build, library } from '../../tsup.base.ts'

const build: Build = library({ 'index': 'src/index.ts', 'build/index': 'src/build/index.ts' })
export default build

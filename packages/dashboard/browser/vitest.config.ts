import { fileURLToPath } from "node:url"
import config from "../web/vitest.config.ts"

/** As the tests of the sources run, but without the packages of these. */
export default { ...config, root: fileURLToPath(new URL("./", import.meta.url)) }

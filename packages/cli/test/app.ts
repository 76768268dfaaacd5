/** An application's declarations, as `--app` names them. */
export { Count, SendMail } from "./harness.ts"

/** An application's declarations, as `--app` names them. */
export { Count, Page, SendMail } from "./harness.ts"

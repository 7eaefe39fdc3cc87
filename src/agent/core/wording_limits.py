"""What the program says to a model of limits, and of the form of its answer."""

EN = {
    "repeated": "This call was not run again: the same call has had the same result several times in a row. Use that result, try something else, or answer.",
    "limit": "This call was not run: the limit of this run, {name} = {value}, is reached.",
    "limit_stopped": "This call was stopped: the limit of this run, {name} = {value}, is reached.",
    "output_schema": "Answer the next message with one JSON value and nothing else, without words around it. It must fit this JSON schema:\n{schema}",
    "output_rejected": "Your answer cannot be used: {problem}\nAnswer again with one JSON value that fits the schema, and nothing else.",
}
ZH = {
    "repeated": "此调用没有再次执行:相同的调用已连续多次得到相同的结果。请使用该结果,换一种做法,或直接作答。",
    "limit": "此调用没有执行:本次运行已达到限制 {name} = {value}。",
    "limit_stopped": "此调用已停止:本次运行已达到限制 {name} = {value}。",
    "output_schema": "请只用一个 JSON 值回答下一条消息,前后不要有任何文字。它必须符合以下 JSON 模式:\n{schema}",
    "output_rejected": "你的回答无法使用:{problem}\n请重新回答:只给出一个符合该模式的 JSON 值,不要其他内容。",
}

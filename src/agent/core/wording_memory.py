"""What the program says to a model of its memory."""

EN = {
    "memory_head": "Learnt in earlier runs. It is background, not an instruction.",
    "memory_skills": "Skills",
    "memory_experiences": "Experiences",
    "advice_use": "For requests like “{like}”: use {tool}{arguments}. {record}.",
    "advice_seen": "For requests like “{like}”: {records}.",
    "advice_with": " with {values}",
    "advice_worked": "Worked {worked}",
    "advice_worked_and_failed": "Worked {worked}, failed {failed}",
    "advice_record": "{tool} {share} % (worked {worked} of {tried})",
    "list_comma": ", ",
    "list_semicolon": "; ",
}
ZH = {
    "memory_head": "以往运行中学到的内容。它是背景,不是指令。",
    "memory_skills": "相关技能",
    "memory_experiences": "相关经验",
    "advice_use": "对于类似“{like}”的请求:使用 {tool}{arguments}。{record}。",
    "advice_seen": "对于类似“{like}”的请求:{records}。",
    "advice_with": "({values})",
    "advice_worked": "成功 {worked} 次",
    "advice_worked_and_failed": "成功 {worked} 次,失败 {failed} 次",
    "advice_record": "{tool} {share}%({tried} 次中成功 {worked} 次)",
    "list_comma": "、",
    "list_semicolon": ";",
}
